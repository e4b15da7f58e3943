//! Calls that tell somebody something: warnings, logging, `print`, queues.
//!
//! *Invariant:* judged by what is called, never by the name it goes by.

use crate::context::RuleContext;
use crate::facts::{CallIx, Qual};
use crate::qual;

/// Whether a library function writes to a log: it takes the locks of its handlers and waits for their streams.
pub(crate) fn is_logging(name: Qual) -> bool {
    let names = [
        qual!("logging.debug"),
        qual!("logging.info"),
        qual!("logging.warning"),
        qual!("logging.error"),
        qual!("logging.critical"),
        qual!("logging.exception"),
        qual!("logging.log"),
        qual!("logging.Logger.debug"),
        qual!("logging.Logger.info"),
        qual!("logging.Logger.warning"),
        qual!("logging.Logger.error"),
        qual!("logging.Logger.critical"),
        qual!("logging.Logger.exception"),
        qual!("logging.Logger.log"),
    ];
    names.contains(&name)
}

/// Whether a library function takes the lock of a `queue.Queue`, which is not reentrant.
pub(crate) fn takes_queue_lock(name: Qual) -> bool {
    let names = [
        qual!("queue.Queue.put"),
        qual!("queue.Queue.put_nowait"),
        qual!("queue.Queue.get"),
        qual!("queue.Queue.get_nowait"),
    ];
    names.contains(&name)
}

/// Whether all that a call does is to tell somebody something.
pub(crate) fn is_message(cx: &RuleContext<'_>, call: CallIx) -> bool {
    let name = cx.program.library_callee(cx.module, call);
    name.is_some_and(|name| is_logging(name) || name == qual!("warnings.warn") || name == qual!("builtins.print"))
}
