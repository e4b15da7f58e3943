//! Code that only a forked child gets to, because its parent has left: `if fork() > 0: os._exit(0)`.
//!
//! *Invariant:* the parent leaves by a call that ends the process, in a branch that only it takes.

use super::kind::ModuleId;
use super::program::Program;
use crate::facts::{Arm, CtxKind, EventIx, EventKind, FuncIx, Qual};
use crate::qual;

/// Calls that end the process.
const EXITS: &[Qual] = &[qual!("os._exit"), qual!("sys.exit"), qual!("builtins.exit"), qual!("builtins.quit")];

impl Program {
    /// Whether a step comes after a fork whose parent has left.
    pub(crate) fn is_after_fork(&self, module: ModuleId, function: FuncIx, at: EventIx) -> bool {
        let facts = &self.module(module).facts;
        if !facts.forks {
            return false;
        }
        let first = facts.functions[function.index()].events.start;
        let before = facts.events_of(function).iter().take((at.0 - first) as usize);
        let calls = before.filter_map(|event| match event.kind {
            EventKind::Call(call) => Some((self.library_callee(module, call)?, event.ctx)),
            _ => None,
        });
        let mut since_fork = calls.skip_while(|(name, _)| *name != qual!("os.fork"));
        since_fork.any(|(name, ctx)| {
            EXITS.contains(&name)
                && facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
                    // What is the child's if the test turns out the other way is the parent's here.
                    CtxKind::Branch(test, arm) => self.is_childs(module, test, arm == Arm::Else),
                    _ => false,
                })
        })
    }
}
