//! Which functions may be entered with a lock: some caller, a few calls up, may hold one.
//!
//! Most of a program is far from any lock; what is entered with which lock is only worked out for the rest.
//!
//! *Invariant:* a superset: a function left out is entered with no lock by any call within `levels`.

use crate::link::kind::FuncId;
use crate::link::program::Program;

/// By function: whether a lock may be held at a call of it, by its caller or by one up to `levels` calls above.
///
/// `more` are calls that the call graph does not have: who is called, and by whom.
pub(super) fn functions(program: &Program, more: &[(FuncId, FuncId)], levels: usize) -> Vec<bool> {
    let mut near = vec![false; program.function_modules.len()];
    for _ in 0..levels {
        let mut changed = false;
        let mut mark = |near: &mut Vec<bool>, function: FuncId| {
            changed |= !std::mem::replace(&mut near[function.index()], true);
        };
        for function in (0..near.len()).map(FuncId::at) {
            let holds = |caller: FuncId| program.may_hold(caller) || near[caller.index()];
            if !near[function.index()] && program.callers(function).iter().any(|site| holds(site.caller)) {
                mark(&mut near, function);
            }
        }
        for &(function, caller) in more {
            if program.may_hold(caller) || near[caller.index()] {
                mark(&mut near, function);
            }
        }
        if !changed {
            break;
        }
    }
    near
}
