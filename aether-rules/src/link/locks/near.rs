//! Which functions may be entered with a lock: some caller, a few calls up, may hold one.
//!
//! Most of a program is far from any lock; what is entered with which lock is only worked out for the rest.
//!
//! *Invariant:* a superset: a function left out is entered with no lock by any call within `levels`.

use crate::link::kind::FuncId;
use crate::link::program::Program;

/// By function: whether a lock may be held at a call of it, by its caller or by one up to `levels` calls above.
///
/// `others` are calls that the call graph does not have: a function, and who may call it.
pub(super) fn functions(
    program: &Program,
    holding: &[bool],
    others: &dyn Fn(FuncId, &dyn Fn(FuncId) -> bool) -> bool,
    levels: usize,
) -> Vec<bool> {
    let mut near = vec![false; holding.len()];
    for _ in 0..levels {
        let mut changed = false;
        for index in 0..near.len() {
            let function = FuncId::at(index);
            let holds = |caller: FuncId| holding[caller.index()] || near[caller.index()];
            if !near[index]
                && (program.callers(function).iter().any(|site| holds(site.caller)) || others(function, &holds))
            {
                near[index] = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    near
}
