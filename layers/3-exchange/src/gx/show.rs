//! A right that is shown under a contract.
//!
//! ```text
//! show = { 0: 1, 1: serial, 2: issuer (key set id), 3: right, 4: statement id of the credential, 5: salt (32 bytes) }
//! ```
//! It is the descriptor of an item "signature": what its owner gives is its signature, by which it shows the credential. Its deposit is what the
//! issuer keeps for this contract, and travels as the token of its owner's promise: the credential, the issuer's keys and its reservation.
//! Whoever gives something for the show looks at that before, and so does the arbiter before it completes the contract.
//!
//! Source: `spec/access.md` (design/exchange.md §5.8).

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::contract::{Core, DESCRIPTOR_MAX};
use semper_core::cose::Signed;
use semper_core::ids::{KeySetId, StatementId};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{Verified, Verify, verify};
use semper_support::engine::{Effect, EvidenceKind};
use semper_transfer::credential::statement::RIGHT_MAX;
use semper_transfer::credential::{
    Bundle, Credential, Errand, NotGood, Reservation, ReservationRequest, Serial, Submission, Wanted,
    check_reservation, use_tag,
};

use super::items::earliest_refund;

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Show {
    /// The credential's serial number.
    pub serial: Serial,
    /// Its issuer's key set.
    pub issuer: KeySetId,
    /// The right.
    pub right: String,
    /// The credential itself: another one of the same serial number does not do.
    pub credential: StatementId,
    /// Hides the contract from the issuer until it has ended.
    pub salt: [u8; 32],
}

/// A show whose deposit was found good. Only [`Show::check`] makes one.
#[derive(Clone, Debug)]
pub struct Kept {
    bundle: Bundle,
    credential: Credential,
    reservation: Verified<Reservation>,
}

impl Show {
    /// What its owner asks the issuer for, before its promise goes out.
    ///
    /// The use is kept for as long as whoever gives something for the show may need: until the last ruling of the arbiter, an answer of the arbiter and one of
    /// the issuer after it, and clocks that differ.
    pub fn request(&self, core: &Core) -> Option<ReservationRequest> {
        let Wanted { tag, arbiter, until } = self.wanted(core)?;
        Some(ReservationRequest { serial: self.serial, tag, arbiter, until })
    }

    fn wanted(&self, core: &Core) -> Option<Wanted> {
        let until = earliest_refund(&core.terms.deadlines);
        Some(Wanted { tag: use_tag(core.cid(), &self.salt), arbiter: core.arbiter()?, until })
    }

    /// Whether a token keeps what the responder of `core` shows. Whether the credential is valid now is not looked at: whoever gives something for it judges that
    /// before it promises, and the issuer before it keeps anything.
    ///
    /// # Errors
    /// [`NotGood`].
    pub fn check(&self, verifier: &dyn Verify, core: &Core, token: &[u8]) -> Result<Kept, NotGood> {
        let bundle = Bundle::from_bytes(token).map_err(|_| NotGood::Missing)?;
        let checked: Verified<Credential> = verify(verifier, &bundle.issuer, &bundle.credential)?;
        let credential = checked.statement().clone();
        let honours = core.party(Role::ORIGINATOR).ok_or(NotGood::Audience)?;
        match () {
            () if bundle.issuer.id() != self.issuer || checked.id() != self.credential => return Err(NotGood::Serial),
            () if credential.serial != self.serial => return Err(NotGood::Serial),
            () if Some(credential.holder) != core.party(Role::RESPONDER) => return Err(NotGood::Holder),
            () if !credential.audience.is_empty() && !credential.audience.contains(&honours) => {
                return Err(NotGood::Audience);
            }
            () if credential.right != self.right => return Err(NotGood::Right),
            () => {}
        }
        let wanted = self.wanted(core).ok_or(NotGood::Arbiter)?;
        let reservation = bundle.reservation.as_ref().ok_or(NotGood::Missing)?;
        let reservation = check_reservation(verifier, &bundle.issuer, reservation, &credential, &wanted)?;
        Ok(Kept { bundle, credential, reservation })
    }

    /// Tells the issuer how the contract has ended, so that it takes or frees the use: by the holder's final or the arbiter's verdict, with the keys of its
    /// signer. Nothing is to be told of a right that may be used freely, or where no use was kept.
    pub(super) fn tell(&self, token: &[u8], statement: &Signed, signer: &KeySet) -> Option<Effect> {
        let bundle = Bundle::from_bytes(token).ok()?;
        let credential = Credential::from_bytes(bundle.credential.payload()).ok()?;
        let reservation = Reservation::from_bytes(bundle.reservation.as_ref()?.payload()).ok()?;
        reservation.number?;
        let kept = Some((self.serial, self.salt));
        let submission = Submission { statement: statement.clone(), signer: signer.clone(), kept };
        Some(Effect::Submit(Errand { issuer: credential.issuer, submission }.to_bytes()))
    }
}

impl Kept {
    /// Which use is kept, if they are counted.
    pub fn number(&self) -> Option<u32> {
        self.reservation.statement().number
    }

    /// The credential.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// What a stranger checks it with.
    pub(super) fn evidence(&self) -> [Effect; 3] {
        let keys = Effect::Keep { kind: EvidenceKind::KeySet, bytes: self.bundle.issuer.to_bytes() };
        [keys, Effect::keep(&self.bundle.credential), Effect::keep(self.reservation.signed())]
    }
}

impl Encode for Show {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.serial)
            .put_item(2, &self.issuer)
            .put(3, self.right.as_str())
            .put_item(4, &self.credential)
            .put_bytes(5, self.salt)
            .build()
    }
}

impl Decode for Show {
    const BYTES_MAX: usize = DESCRIPTOR_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let show = Self {
            serial: fields.item(1, "serial")?,
            issuer: fields.item(2, "issuer")?,
            right: fields.text(3, "right", RIGHT_MAX)?,
            credential: fields.item(4, "credential")?,
            salt: fields.exact(5, "salt")?,
        };
        fields.close()?;
        Ok(show)
    }
}

#[cfg(test)]
mod tests;
