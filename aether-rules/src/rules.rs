//! The rules, one file each, in one folder per family.
//!
//! *Invariant:* no list of rules exists. A file dropped into a family's folder becomes a module (`automod`), declares
//! itself (`declare_rule!`) and is found by the registry; a test asserts that every file did.

pub(crate) mod run {
    automod::dir!(pub(crate) "src/rules/run");
}

mod free_threading {
    automod::dir!("src/rules/free_threading");
}

mod races {
    automod::dir!("src/rules/races");
}

mod locks {
    automod::dir!("src/rules/locks");
}

mod threads {
    automod::dir!("src/rules/threads");
}

mod asyncio {
    automod::dir!("src/rules/asyncio");
}

mod globals {
    automod::dir!("src/rules/globals");
}

mod signals {
    automod::dir!("src/rules/signals");
}

mod gil_reliance {
    automod::dir!("src/rules/gil_reliance");
}

mod state {
    automod::dir!("src/rules/state");
}

mod ecosystem {
    automod::dir!("src/rules/ecosystem");
}
