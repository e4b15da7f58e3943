//! The whole program: who imports whom, what calls what, which functions run on which threads, which places they
//! share, and which locks they hold.
//!
//! The steps run in order, each from the results of the ones before, in parallel over modules where it can:
//! imports → classes → kinds → calls → roots → reach → locks → accesses → sharing.
//!
//! *Invariant:* nothing in this module names a rule, and no step depends on the order of a hash map or a thread.

mod access;
mod acquisitions;
mod annotations;
mod by_name;
mod callbacks;
mod calls;
mod checks;
mod classes;
mod cycles;
mod declared;
mod definitions;
mod derived;
mod dispatch;
mod doors;
mod elements;
mod feasible;
mod forked;
mod fresh;
mod guards;
mod handlers;
mod handshake;
mod holding;
mod import_time;
mod imports;
mod infer;
mod kind;
mod kinds;
mod locks;
mod loops;
mod mixins;
mod nesting;
mod objects;
mod offload;
mod order;
mod own;
mod passed;
mod phases;
mod places;
mod program;
mod promise;
mod reach;
mod receiver;
mod roots;
mod rows;
mod scheduled;
mod settled;
mod setup;
mod sharing;
mod slots;
mod staged;
mod startup;
mod thread_locals;
mod unaided;
mod waiting;
mod waits;
mod worth;

pub use access::{Access, AccessKind, Touch};
pub use acquisitions::Acquisition;
pub use calls::{CallSite, Callee, Receiver};
pub use checks::{Answer, Asked, Certainty, Check};
pub use classes::{Attr, ClassInfo};
pub use cycles::LockCycle;
pub use guards::InferredGuard;
pub use holding::{Held, Owner};
pub use kind::{ClassId, FuncId, Kind, ModuleId};
pub use locks::{Lock, LockId, LockSet};
pub use nesting::{Nested, Taken, Via};
pub use offload::Handed;
pub use order::Lifetime;
pub use places::{Place, PlaceId, PlaceRoot};
pub use program::{Module, Program};
pub use promise::{Guard, Promise};
pub use reach::Visit;
pub use roots::{Root, RootId, Started};
pub use sharing::{Conflict, Sharing, ThreadOf};
pub use waiting::{Awaited, Wait};
pub use worth::Worth;
