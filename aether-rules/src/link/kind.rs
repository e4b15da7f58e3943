//! What an expression evaluates to, as far as threads care.
//!
//! *Invariant:* [`Kind::join`] is commutative and idempotent up to [`Kind::Mixed`]; `Unknown` never means safe.

use crate::facts::Qual;
use crate::model::{LockKind, Role, objects};
use crate::qual;

macro_rules! global_index {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// The position in its table.
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            pub(crate) fn at(index: usize) -> Self {
                Self(index as u32)
            }
        }
    )+};
}

global_index! {
    /// A module of the program; the same number as its file.
    ModuleId,
    /// A function of the program.
    FuncId,
    /// A class of the program.
    ClassId,
}

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nothing is known.
    #[default]
    Unknown,
    /// Several things that do not go together.
    Mixed,
    /// `None`.
    None,
    /// A number, string, tuple or other value that cannot change.
    Immutable,
    /// Something outside the program, by name: a module, class or function.
    Lib(Qual),
    /// An object of a library class, by the class's name.
    Object(Qual),
    /// A module of the program.
    Module(ModuleId),
    /// A class of the program.
    Class(ClassId),
    /// An object of a class of the program.
    Instance(ClassId),
    /// A function of the program.
    Function(FuncId),
    /// A method of the program, bound to an object.
    Method(FuncId),
    /// `super()` in a method of the class.
    Super(ClassId),
}

impl Kind {
    /// What a variable holds that is assigned both.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Unknown, known) | (known, Self::Unknown) => known,
            (Self::None, known) | (known, Self::None) => known,
            (Self::Object(a), Self::Object(b)) => join_objects(a, b),
            _ => Self::Mixed,
        }
    }

    /// What it is for, if it is a library object with a model.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Object(class) => objects::role_of(class),
            Self::Immutable => Some(Role::Immutable),
            _ => None,
        }
    }

    /// The class of a library object.
    pub fn object(self) -> Option<Qual> {
        match self {
            Self::Object(class) => Some(class),
            _ => None,
        }
    }

    /// Whether it says anything at all.
    pub fn is_known(self) -> bool {
        !matches!(self, Self::Unknown | Self::Mixed)
    }
}

fn join_objects(a: Qual, b: Qual) -> Kind {
    match (objects::role_of(a), objects::role_of(b)) {
        // Never accuse a lock of not being reentrant when it may be.
        (Some(Role::Lock(x)), Some(Role::Lock(y))) if x != y => match (x, y) {
            (LockKind::RLock, LockKind::Lock) | (LockKind::Lock, LockKind::RLock) => {
                Kind::Object(qual!("threading.RLock"))
            }
            _ => Kind::Mixed,
        },
        (Some(Role::Container(_)), Some(Role::Container(_)))
            if objects::method_owner(a) == objects::method_owner(b) =>
        {
            Kind::Object(objects::method_owner(a))
        }
        _ => Kind::Mixed,
    }
}
