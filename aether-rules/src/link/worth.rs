//! How much it matters that a value was made twice.
//!
//! *Invariant:* what is not known to have an identity of its own is never [`Worth::Object`].

use super::kind::{ClassId, FuncId, Kind, ModuleId};
use super::program::Program;
use crate::facts::{Qual, ScopeKind, Term, TermId};
use crate::model::Role;
use crate::qual;

/// How deep a value may hide behind local names.
const MAX_DEPTH: usize = 6;

/// How much it matters that a value was made twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// It is `None`.
    Nothing,
    /// One is as good as the other: an immutable value, a function, a module.
    Same,
    /// Nothing is known of it.
    Unknown,
    /// A built-in container: what is put into the lost one is lost.
    Container,
    /// An object with an identity.
    Object,
}

impl Program {
    /// How much it matters that a value was made twice.
    pub fn worth(&self, module: ModuleId, value: TermId) -> Worth {
        self.worth_within(module, value, 0)
    }

    fn worth_within(&self, module: ModuleId, value: TermId, depth: usize) -> Worth {
        let facts = &self.modules[module.index()].facts;
        if self.exists_already(module, value) {
            return Worth::Same;
        }
        if self.makes_class(module, value) {
            return Worth::Same;
        }
        let known = match self.kind(module, value) {
            Kind::None => return Worth::Nothing,
            Kind::Immutable | Kind::Lib(_) | Kind::Module(_) | Kind::Class(_) | Kind::Function(_) | Kind::Method(_) => {
                Worth::Same
            }
            Kind::Object(class) => match crate::model::role_of(class) {
                Some(Role::Container(_)) => Worth::Container,
                Some(Role::Immutable) => Worth::Same,
                Some(_) => Worth::Object,
                None if is_interchangeable(class) => Worth::Same,
                None if self.constructs(module, value) => Worth::Object,
                None => Worth::Unknown,
            },
            Kind::Instance(_) => Worth::Object,
            Kind::Unknown | Kind::Mixed | Kind::Super(_) => Worth::Unknown,
        };
        if known != Worth::Unknown || depth >= MAX_DEPTH {
            return known;
        }
        match facts.terms.get(value) {
            Term::Call(_) if self.constructs(module, value) => Worth::Object,
            Term::Name(_) => {
                let Some(var) = facts.var_of(value) else { return Worth::Unknown };
                let values = facts.vars[var.index()].values.iter();
                values.map(|&value| self.worth_within(module, value, depth + 1)).max().unwrap_or(Worth::Unknown)
            }
            // A string plus whatever it is, is a string.
            Term::Operation(a, b) if self.is_value(module, a) || self.is_value(module, b) => Worth::Same,
            Term::Or(a, b) | Term::Either(a, b) => {
                self.worth_within(module, a, depth + 1).max(self.worth_within(module, b, depth + 1))
            }
            _ => known,
        }
    }

    /// Whether one object of a class is as good as another that was made of the same: none of them changes once it is
    /// made, and none holds a lock, a file, or a container to fill.
    pub fn is_value_class(&self, class: ClassId) -> bool {
        // A public method counts as part of the making where only that calls it.
        let makes = |function: FuncId| {
            let sites = self.callers(function);
            self.is_setup(function) || (!sites.is_empty() && sites.iter().all(|site| self.is_setup(site.caller)))
        };
        self.class(class).mro.iter().all(|&ancestor| {
            self.class(ancestor).attrs.values().all(|attr| {
                let changes = attr.stores.iter().any(|&(function, _)| !makes(function));
                let is_one = self.role(attr.kind).is_some_and(|role| role != Role::Immutable);
                !attr.augmented && !changes && !is_one
            })
        })
    }

    /// The same, and none holds an object of somebody else's making that may change: what is registered there is lost with it.
    pub fn is_plain_value_class(&self, class: ClassId) -> bool {
        self.is_value_class(class)
            && self.lib_bases(class).is_empty()
            && self.class(class).mro.iter().all(|&ancestor| {
                self.class(ancestor).attrs.values().all(|attr| {
                    attr.stores
                        .iter()
                        .all(|&(function, value)| self.worth(self.func_local(function).0, value) < Worth::Container)
                })
            })
    }

    /// Whether a term is known to be an immutable value.
    fn is_value(&self, module: ModuleId, term: TermId) -> bool {
        match self.kind(module, term) {
            Kind::Immutable => true,
            Kind::Object(class) => is_interchangeable(class),
            _ => false,
        }
    }

    /// A global or an attribute: whoever reads it gets the same object.
    fn exists_already(&self, module: ModuleId, value: TermId) -> bool {
        let facts = &self.modules[module.index()].facts;
        match facts.terms.get(value) {
            Term::Attr(..) => true,
            Term::Item(base, _) => self.exists_already(module, base),
            Term::Name(_) => facts.var_of(value).is_some_and(|var| facts.var_scope(var) == ScopeKind::Module),
            _ => false,
        }
    }

    /// Whether a value is a class that `type` makes, under that name or another one (`ClassType = type`).
    fn makes_class(&self, module: ModuleId, value: TermId) -> bool {
        const PARTS: usize = 3;
        let facts = &self.modules[module.index()].facts;
        let Term::Call(call) = facts.terms.get(value) else { return false };
        let is_type = |term: TermId| self.kind(module, term) == Kind::Lib(qual!("builtins.type"));
        let callee = facts.calls[call.index()].callee;
        let values = facts.var_of(callee).map(|var| &facts.vars[var.index()].values[..]).unwrap_or_default();
        facts.args_of(call).len() == PARTS && (is_type(callee) || values.iter().any(|&value| is_type(value)))
    }

    /// Whether the name of what a value calls says that it makes something: a class's, or `connect`, `open`, `create_…`.
    fn constructs(&self, module: ModuleId, value: TermId) -> bool {
        let facts = &self.modules[module.index()].facts;
        let call = match facts.terms.get(value) {
            Term::Call(call) => call,
            // What a name stands for is looked at where it was made.
            Term::Name(_) => return false,
            _ => return true,
        };
        let name = match facts.terms.get(facts.calls[call.index()].callee) {
            Term::Attr(_, name) => facts.name(name),
            Term::Name(_) => match facts.var_of(facts.calls[call.index()].callee) {
                Some(var) => facts.name(facts.vars[var.index()].name),
                // A builtin without a model: `object`, `open`, `memoryview`.
                None => return true,
            },
            _ => return false,
        };
        let says =
            ["connect", "open", "create", "make", "build", "spawn", "session", "client", "pool", "socket", "new"];
        // `GetExitCode` of a C library is no class.
        let asks = ["Get", "Is", "Has", "Wait", "Query"].iter().any(|verb| name.starts_with(verb));
        // It looks first whether there is one.
        if name.contains("get_or_") {
            return false;
        }
        (name.starts_with(char::is_uppercase) && !asks) || says.iter().any(|hint| name.contains(hint))
    }
}

/// Whether the results of a library call are as good as each other.
fn is_interchangeable(class: Qual) -> bool {
    INTERCHANGEABLE.contains(&class)
}

/// Library calls whose results are as good as each other.
const INTERCHANGEABLE: &[Qual] = &[
    qual!("os.path.dirname"),
    qual!("os.path.basename"),
    qual!("os.path.join"),
    qual!("os.path.abspath"),
    qual!("os.path.realpath"),
    qual!("os.path.normpath"),
    qual!("os.path.normcase"),
    qual!("os.path.relpath"),
    qual!("os.path.expanduser"),
    qual!("os.path.expandvars"),
    qual!("os.path.splitext"),
    qual!("os.path.split"),
    qual!("os.path.exists"),
    qual!("os.path.isfile"),
    qual!("os.path.isdir"),
    qual!("os.path.getmtime"),
    qual!("os.path.commonpath"),
    qual!("os.fspath"),
    qual!("os.fsencode"),
    qual!("os.fsdecode"),
    qual!("os.environ.get"),
    qual!("os.getenv"),
    qual!("os.cpu_count"),
    qual!("os.uname"),
    qual!("platform.system"),
    qual!("platform.machine"),
    qual!("platform.node"),
    qual!("platform.platform"),
    qual!("platform.release"),
    qual!("platform.version"),
    qual!("platform.python_version"),
    qual!("platform.python_implementation"),
    qual!("platform.uname"),
    qual!("sysconfig.get_platform"),
    qual!("sysconfig.get_path"),
    qual!("sysconfig.get_config_var"),
    qual!("sys.getfilesystemencoding"),
    qual!("sys.getdefaultencoding"),
    qual!("locale.getpreferredencoding"),
    qual!("getpass.getuser"),
    qual!("importlib.metadata.version"),
    qual!("importlib.util.find_spec"),
    qual!("inspect.getdoc"),
    qual!("inspect.getsource"),
    qual!("inspect.isgeneratorfunction"),
    qual!("inspect.iscoroutinefunction"),
    qual!("textwrap.dedent"),
    qual!("base64.b64encode"),
    qual!("base64.b64decode"),
    qual!("urllib.parse.quote"),
    qual!("urllib.parse.unquote"),
    qual!("urllib.parse.urlparse"),
    qual!("urllib.parse.urlsplit"),
    qual!("urllib.parse.urljoin"),
    qual!("operator.index"),
    qual!("re.compile"),
    qual!("regex.compile"),
    qual!("struct.Struct"),
    qual!("logging.getLogger"),
    qual!("logging.Logger"),
    qual!("importlib.import_module"),
    qual!("builtins.__import__"),
    qual!("socket.gethostname"),
    qual!("socket.getfqdn"),
    qual!("os.getpid"),
    qual!("os.getcwd"),
    qual!("shutil.which"),
    qual!("pathlib.Path"),
    qual!("decimal.Decimal"),
    qual!("uuid.UUID"),
    qual!("builtins.property"),
    qual!("operator.attrgetter"),
    qual!("operator.itemgetter"),
    qual!("inspect.signature"),
    qual!("typing.get_type_hints"),
    qual!("types.MappingProxyType"),
    qual!("datetime.datetime"),
    qual!("datetime.timedelta"),
    qual!("pickle.dumps"),
    qual!("json.dumps"),
    qual!("builtins.slice"),
    qual!("builtins.type"),
    qual!("builtins.str.maketrans"),
    qual!("str.maketrans"),
];
