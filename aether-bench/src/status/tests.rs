//! Verdicts on facts as interpreters of every kind would report them.

use super::facts::{Distribution, Extension, Interpreter};
use super::*;

const GIL_SUFFIXES: [&str; 3] = [".cpython-314-x86_64-linux-gnu.so", ".abi3.so", ".so"];
const FREE_SUFFIXES: [&str; 2] = [".cpython-314t-x86_64-linux-gnu.so", ".so"];

fn facts(free_threaded_build: bool, distributions: Vec<Distribution>) -> Facts {
    let suffixes: &[&str] = if free_threaded_build { &FREE_SUFFIXES } else { &GIL_SUFFIXES };
    let interpreter = Interpreter {
        implementation: "CPython".to_owned(),
        version: "3.14.0".to_owned(),
        executable: "/opt/python".to_owned(),
        free_threaded_build,
        extension_suffixes: suffixes.iter().map(|&suffix| suffix.to_owned()).collect(),
        ..Interpreter::default()
    };
    Facts { interpreter, gil_enabled: !free_threaded_build, distributions, ..Facts::default() }
}

/// A package with extension modules of this ABI.
fn package(name: &str, modules: &[&str], abi: &str) -> Distribution {
    let extension = |module: &&str| Extension { module: (*module).to_owned(), tag: abi.to_owned() };
    Distribution {
        name: name.to_owned(),
        version: "1.0".to_owned(),
        extensions: modules.iter().map(extension).collect(),
        files_listed: true,
        ..Distribution::default()
    }
}

fn declaring(stage: &str, distribution: Distribution) -> Distribution {
    let classifier = format!("Programming Language :: Python :: Free Threading{stage}");
    Distribution { classifiers: vec![classifier], ..distribution }
}

fn tagged(tag: &str, distribution: Distribution) -> Distribution {
    Distribution { tags: vec![tag.to_owned()], ..distribution }
}

fn import(module: &str, outcome: ImportOutcome, culprit: Option<&str>) -> Import {
    Import { module: module.to_owned(), outcome, culprit: culprit.map(str::to_owned), problem: None }
}

fn verdicts(status: &InterpreterStatus) -> Vec<(&str, Verdict)> {
    status.packages.iter().map(|package| (package.name.as_str(), package.verdict)).collect()
}

#[test]
fn declarations_and_tags_are_verdicts_and_silence_is_unknown() {
    let abi = "cpython-314-x86_64-linux-gnu";
    let status = judge(
        facts(
            false,
            vec![
                package("silent", &["silent._c"], abi),
                declaring(" :: 3 - Stable", package("stable", &["stable._c"], abi)),
                declaring(" :: 1 - Unstable", package("unstable", &["unstable._c"], abi)),
                declaring("", package("plain", &["plain._c"], abi)),
                declaring(" :: 2 - Beta", package("pure-and-declared", &[], abi)),
                tagged("cp315-abi3.abi3t-manylinux_2_28_x86_64", package("both", &["both._c"], "abi3t")),
                tagged("cp314-cp314-manylinux_2_28_x86_64", package("with-gil", &["with_gil._c"], abi)),
                package("pure", &[], abi),
                Distribution { problem: Some("no METADATA".to_owned()), ..package("broken", &[], abi) },
            ],
        ),
        None,
    );
    let expected = [
        ("both", Verdict::Ready),
        ("broken", Verdict::Unknown),
        ("plain", Verdict::Ready),
        ("pure-and-declared", Verdict::Ready),
        ("silent", Verdict::Unknown),
        ("stable", Verdict::Ready),
        ("unstable", Verdict::NeedsNewer),
        ("with-gil", Verdict::Unknown),
    ];
    assert_eq!(verdicts(&status), expected);
    assert_eq!(status.free_threaded_packages, ["both", "plain", "pure-and-declared", "stable"]);
    assert_eq!(status.potentially_unsafe_packages, ["broken", "silent", "unstable", "with-gil"]);
    assert_eq!(status.pure_python_packages, 1);
    for package in &status.packages {
        assert_eq!(package.advice.is_none(), package.verdict == Verdict::Ready, "{package:?}");
        assert_eq!(package.because, package.basis.to_string());
    }
}

#[test]
fn what_an_import_did_goes_before_what_was_declared() {
    let free = "cpython-314t-x86_64-linux-gnu";
    let distributions = vec![
        declaring(" :: 3 - Stable", tagged("cp314-cp314t-linux_x86_64", package("liar", &["liar._c"], free))),
        package("quiet", &["quiet._a", "quiet._b"], free),
        package("user", &["user._c"], free),
        package("old", &["old._c"], "abi3"),
        package("broken", &["broken._c"], free),
    ];
    let imports = [
        import("liar._c", ImportOutcome::EnabledGil, Some("liar._c")),
        import("quiet._a", ImportOutcome::Imported, None),
        import("quiet._b", ImportOutcome::Imported, None),
        import("user._c", ImportOutcome::EnabledGil, Some("liar._c")),
        import("broken._c", ImportOutcome::Failed, None),
    ];
    let facts = facts(true, distributions);
    assert_eq!(facts.modules_to_try(), ["liar._c", "quiet._a", "quiet._b", "user._c", "broken._c"]);
    let status = judge(facts, Some(&imports));
    let expected = [
        ("broken", Verdict::Unknown),
        ("liar", Verdict::ForcesGil),
        ("old", Verdict::NeedsNewer),
        ("quiet", Verdict::Ready),
        ("user", Verdict::ForcesGil),
    ];
    assert_eq!(verdicts(&status), expected);
    let because = |name: &str| {
        status.packages.iter().find(|package| package.name == name).map(|package| package.because.as_str())
    };
    assert_eq!(because("quiet"), Some("its 2 extension modules were imported here, the GIL stayed off"));
    assert_eq!(because("user"), Some("importing `user._c` enabled the GIL here, through `liar._c`"));
    assert!(because("old").is_some_and(|text| text.contains("abi3")));
}

#[test]
fn the_reason_for_the_gil_is_who_had_the_last_word() {
    let read = |change: &dyn Fn(&mut Facts)| {
        let mut facts = facts(true, Vec::new());
        change(&mut facts);
        let status = judge(facts, None);
        (status.gil_status, status.gil_reason, status.is_free_threaded)
    };
    let value = |text: &str| Some(text.to_owned());
    assert_eq!(read(&|_| {}), (GilStatus::Disabled, GilReason::Build, true));
    let by_option = read(&|facts| {
        (facts.gil_enabled, facts.gil_option, facts.gil_variable) = (true, value("1"), value("0"));
    });
    assert_eq!(by_option, (GilStatus::Forced, GilReason::Option { value: "1".to_owned() }, false));
    let by_variable = read(&|facts| facts.gil_variable = value("0"));
    assert_eq!(by_variable, (GilStatus::Disabled, GilReason::Variable { value: "0".to_owned() }, true));
    let by_import = read(&|facts| {
        (facts.gil_enabled, facts.loaded_extensions) = (true, vec!["old._c".to_owned()]);
    });
    assert_eq!(by_import, (GilStatus::Forced, GilReason::Import { loaded: vec!["old._c".to_owned()] }, false));
    let regular = judge(facts(false, Vec::new()), None);
    assert_eq!((regular.gil_status, regular.gil_reason), (GilStatus::Enabled, GilReason::Build));
}

#[test]
fn a_package_s_own_tests_are_not_imported() {
    let modules = ["numpy._core._multiarray_tests", "a.tests._c", "b._testcapi", "c.tester"];
    let facts = facts(true, vec![package("p", &modules, "cpython-314t-x86_64-linux-gnu")]);
    assert_eq!(facts.modules_to_try(), ["c.tester"]);
}

#[test]
fn json_comes_back_as_it_went_and_text_names_every_open_package() {
    let abi = "cpython-314-x86_64-linux-gnu";
    let distributions =
        vec![package("silent", &["silent._c"], abi), declaring(" :: 3 - Stable", package("fine", &["fine._c"], abi))];
    let status = judge(facts(false, distributions), None);
    let json = serde_json::to_string(&status).expect("it can be written");
    assert_eq!(serde_json::from_str::<InterpreterStatus>(&json).expect("it can be read"), status);
    let brief = status.to_text(Detail::Brief);
    assert!(brief.contains("GIL: on") && brief.contains("silent 1.0  unknown: ") && !brief.contains("fine"), "{brief}");
    assert!(status.to_text(Detail::Full).contains("fine 1.0    ready: its metadata declares"), "{brief}");
}
