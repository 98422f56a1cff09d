//! Seeded mistakes. A model checker that finds nothing may be blind; with the feature `flaws` one mistake at a time can be switched
//! on, and a test fails if the checker does not find it. Without the feature, [`active`] is a constant `false`.

/// A mistake that an implementation of these protocols could contain. Numbers as in `design/exchange.md` §14.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Flaw {
    /// F1: the arbiter resolves although it has aborted.
    ResolveAfterAbort = 1,
    /// F2: the originator sends its final although it has asked for an abort.
    ContinueAfterAbort = 2,
    /// F3: the originator asks for an abort although its final is on the way.
    AbortAfterFinal = 3,
    /// F4: the arbiter answers before its decision is stored.
    AnswerBeforeStore = 4,
    /// F5: a party sends before its state is stored.
    SendBeforeStore = 5,
    /// F6: nothing is sent again after a crash.
    NoResend = 6,
    /// F7: finals do not bind the promises, and runs are not counted.
    UnboundFinal = 7,
    /// F7a: finals bind the promises, but one contract may be run twice.
    NoDedup = 8,
    /// F8: whether a contract was run before is looked up, but not in the commit that starts the run.
    DedupNotAtomic = 9,
    /// P1: the payer may abort, though the key to the goods may be on its way.
    PayerAborts = 10,
    /// P2: the arbiter knows no time for complaints.
    NoComplaints = 11,
    /// P3: locked money may go back before the time for complaints is over.
    EarlyRefund = 12,
    /// P4: the arbiter believes complaints.
    UnprovenComplaint = 13,
    /// N1: N parties sign in N rounds instead of N + 1.
    TooFewRounds = 14,
    /// N2: the arbiter overturns an abort though its asker has sent what is shown.
    OverturnOffByOne = 15,
    /// N3: the arbiter completes a contract though somebody has been refused.
    IgnoreEarlierAsks = 16,
    /// N4: the arbiter hears a party again that has asked before.
    DoubleAsk = 17,
    /// M1: a run whose promise is one for several recipients may be given up before it is made.
    ForgottenPart = 18,
    /// L1: the originator's locked money goes back on the same date as the responder's.
    EqualDates = 19,
    /// L2: the originator opens the locks however late it is.
    LateOpening = 20,
    /// L3: whoever finds its locked money gone does not ask its issuer for the preimage.
    UnaskedPreimage = 21,
    /// T1: a payee by plain transfer may abort though the money may be on its way to it.
    PayeeAborts = 22,
    /// T2: the arbiter believes that a plain transfer was made.
    UnprovenPayment = 23,
    /// T3: a plain transfer may be taken so late that its payer cannot reach the arbiter with the proof of it.
    LatePayment = 24,
    /// R1: the arbiter has a right called back before the time to pay for it is over.
    EarlyRevocation = 25,
    /// R2: an issuer calls a right back by any verdict, and after its date.
    CalledBackAnyway = 26,
    /// R3: whoever has paid for a right and hears nothing does not show the arbiter the proof of it.
    UnfiledProof = 27,
    /// A1: whoever gives something for the show of a right goes on whoever frees the use.
    ForeignKeeper = 28,
    /// A2: an issuer keeps one use for one contract under another arbiter, too.
    KeptAgain = 29,
    /// I1: the arbiter pays on when one deposit has come.
    OneDeposit = 30,
    /// I2: the arbiter pays back what it has decided to pay on.
    PaidBackAnyway = 31,
    /// I3: the arbiter counts a deposit that has come too late.
    LateDeposit = 32,
    /// I4: whoever hears that the arbiter has aborted asks for nothing that the arbiter has taken.
    ForgottenDeposit = 33,
    /// C1: a guarantor certifies whatever is left of its customer's limit.
    UncountedCover = 34,
    /// C2: a guarantor frees a cover by its date although it was claimed.
    ClaimedExpires = 35,
    /// C3: a guarantor frees what nobody has claimed by its own clock alone.
    NoMargin = 36,
}

impl Flaw {
    /// Every seeded mistake.
    pub const ALL: [Self; 36] = [
        Self::ResolveAfterAbort,
        Self::ContinueAfterAbort,
        Self::AbortAfterFinal,
        Self::AnswerBeforeStore,
        Self::SendBeforeStore,
        Self::NoResend,
        Self::UnboundFinal,
        Self::NoDedup,
        Self::DedupNotAtomic,
        Self::PayerAborts,
        Self::NoComplaints,
        Self::EarlyRefund,
        Self::UnprovenComplaint,
        Self::TooFewRounds,
        Self::OverturnOffByOne,
        Self::IgnoreEarlierAsks,
        Self::DoubleAsk,
        Self::ForgottenPart,
        Self::EqualDates,
        Self::LateOpening,
        Self::UnaskedPreimage,
        Self::PayeeAborts,
        Self::UnprovenPayment,
        Self::LatePayment,
        Self::EarlyRevocation,
        Self::CalledBackAnyway,
        Self::UnfiledProof,
        Self::ForeignKeeper,
        Self::KeptAgain,
        Self::OneDeposit,
        Self::PaidBackAnyway,
        Self::LateDeposit,
        Self::ForgottenDeposit,
        Self::UncountedCover,
        Self::ClaimedExpires,
        Self::NoMargin,
    ];
}

/// Whether mistakes can be switched on in this build.
pub const COMPILED_IN: bool = cfg!(feature = "flaws");

#[cfg(feature = "flaws")]
mod switch {
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::sync::{Mutex, PoisonError};

    use super::Flaw;

    static ACTIVE: AtomicU8 = AtomicU8::new(0);
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    /// Whether a mistake is switched on.
    pub fn active(flaw: Flaw) -> bool {
        ACTIVE.load(Ordering::SeqCst) == flaw as u8
    }

    /// Runs `check` with one mistake (or none) switched on; runs wait for each other.
    pub fn with<T>(flaw: Option<Flaw>, check: impl FnOnce() -> T) -> T {
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        ACTIVE.store(flaw.map_or(0, |flaw| flaw as u8), Ordering::SeqCst);
        let result = check();
        ACTIVE.store(0, Ordering::SeqCst);
        result
    }
}

#[cfg(feature = "flaws")]
pub use switch::{active, with};

/// Whether a mistake is switched on: never, in a build without the feature `flaws`.
#[cfg(not(feature = "flaws"))]
#[inline]
pub const fn active(_: Flaw) -> bool {
    false
}
