//! A right that is passed on for money by plain transfer.
//!
//! ```text
//! right = { 0: 1, 1: serial, 2: issuer (key set id), 3: right, 4: statement id of the credential, 5: salt (32 bytes), ? 6: uses }
//! ```
//! It is the descriptor of an item "right"; 6 is how many uses are left at least, and is missing where it may be used freely. The credential and its
//! issuer's keys travel as the token of its owner's promise. The item itself, in message 3, is the credential that its issuer has made for the recipient,
//! under a condition that follows from the contract: the arbiter's verdict calls it back until a date.
//!
//! Source: `spec/gx.md` §6, `spec/credential.md` §3 (design/exchange.md §3.4.3).

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::contract::{Core, DESCRIPTOR_MAX};
use semper_core::cose::Signed;
use semper_core::ids::{KeySetId, StatementId};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{Verified, Verify, verify};
use semper_support::engine::{Effect, EvidenceKind};
use semper_transfer::credential::statement::RIGHT_MAX;
use semper_transfer::credential::{
    Bundle, Condition, Credential, CredentialTransfer, Errand, NotGood, Serial, Submission, Uses, use_tag,
};

/// What is passed on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Right {
    /// The serial number of its owner's credential.
    pub serial: Serial,
    /// Its issuer's key set.
    pub issuer: KeySetId,
    /// The right.
    pub right: String,
    /// The owner's credential itself: another one of the same serial number does not do.
    pub credential: StatementId,
    /// How often it can be used, at least, when it is passed on.
    pub uses: Uses,
    /// Hides the contract from the issuer until it has ended.
    pub salt: [u8; 32],
}

impl Right {
    /// What its owner asks the issuer for, once both have promised. `None`: the contract has no arbiter, or does not say until when it is called back.
    pub fn request(&self, core: &Core) -> Option<CredentialTransfer> {
        let to = core.party(Role::RESPONDER)?;
        Some(CredentialTransfer { serial: self.serial, to, condition: Some(self.condition(core)?) })
    }

    fn condition(&self, core: &Core) -> Option<Condition> {
        Some(Condition {
            tag: use_tag(core.cid(), &self.salt),
            arbiter: core.arbiter()?,
            until: core.terms.deadlines.refund_after?,
            giver: core.party(Role::ORIGINATOR)?,
        })
    }

    /// Whether a token is the credential that the originator of `core` passes on, and it can pass it on. Whether it is valid now, and what its issuer says of
    /// it, is judged by whoever pays for it, before it promises; the issuer judges again before it passes anything on.
    ///
    /// # Errors
    /// [`NotGood`].
    pub fn check_offered(&self, verifier: &dyn Verify, core: &Core, token: &[u8]) -> Result<Bundle, NotGood> {
        let bundle = Bundle::from_bytes(token).map_err(|_| NotGood::Missing)?;
        let checked: Verified<Credential> = verify(verifier, &bundle.issuer, &bundle.credential)?;
        let credential = checked.statement();
        match () {
            () if bundle.issuer.id() != self.issuer || checked.id() != self.credential => Err(NotGood::Serial),
            () if credential.serial != self.serial => Err(NotGood::Serial),
            () if Some(credential.holder) != core.party(Role::ORIGINATOR) => Err(NotGood::Holder),
            () if credential.right != self.right => Err(NotGood::Right),
            () if !credential.transferable => Err(NotGood::Fixed),
            () if !credential.uses.covers(self.uses) => Err(NotGood::Number),
            () => Ok(bundle),
        }
    }

    /// Whether `passed` is what the responder of `core` is to get for the credential in `token`: in nothing worse, and called back by nobody but the
    /// contract's arbiter, until the contract's date. The token of it, with the new credential in the place of the old one.
    ///
    /// # Errors
    /// [`NotGood`].
    pub fn check_passed(
        &self,
        verifier: &dyn Verify,
        core: &Core,
        token: &[u8],
        passed: &Signed,
    ) -> Result<Bundle, NotGood> {
        let bundle = self.check_offered(verifier, core, token)?;
        let before = Credential::from_bytes(bundle.credential.payload()).map_err(|_| NotGood::Missing)?;
        let checked: Verified<Credential> = verify(verifier, &bundle.issuer, passed)?;
        let now = checked.statement();
        let same = [
            ("holders", Some(now.holder) == core.party(Role::RESPONDER)),
            ("rights", now.right == before.right),
            ("audiences", now.audience == before.audience),
            ("numbers of uses", now.uses.covers(self.uses)),
            ("dates", (now.from, now.until) == (before.from, before.until)),
            ("conditions", now.condition == self.condition(core) && now.condition.is_some()),
            ("issuers", now.issuer == before.issuer && now.transferable),
        ];
        match same.iter().find(|(_, same)| !same) {
            Some((what, _)) => Err(NotGood::Passed(what)),
            None => Ok(Bundle { credential: passed.clone(), reservation: None, ..bundle }),
        }
    }

    /// Tells the issuer how the contract has ended that the credential in `token` was passed on under: by the seller's quittance or the arbiter's verdict,
    /// with the keys of its signer. Nothing is to be told of one that was not passed on.
    pub(super) fn tell(&self, token: &[u8], statement: &Signed, signer: &KeySet) -> Option<Effect> {
        let bundle = Bundle::from_bytes(token).ok()?;
        let credential = Credential::from_bytes(bundle.credential.payload()).ok()?;
        credential.condition.filter(|_| credential.serial != self.serial)?;
        let kept = Some((credential.serial, self.salt));
        let submission = Submission { statement: statement.clone(), signer: signer.clone(), kept };
        Some(Effect::Submit(Errand { issuer: credential.issuer, submission }.to_bytes()))
    }
}

/// What a stranger checks a credential with.
pub(super) fn evidence(bundle: &Bundle) -> [Effect; 2] {
    let keys = Effect::Keep { kind: EvidenceKind::KeySet, bytes: bundle.issuer.to_bytes() };
    [keys, Effect::keep(&bundle.credential)]
}

impl Encode for Right {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.serial)
            .put_item(2, &self.issuer)
            .put(3, self.right.as_str())
            .put_item(4, &self.credential)
            .put_bytes(5, self.salt)
            .put_some(6, self.uses.counted())
            .build()
    }
}

impl Decode for Right {
    const BYTES_MAX: usize = DESCRIPTOR_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (serial, issuer) = (fields.item(1, "serial")?, fields.item(2, "issuer")?);
        let (right, credential) = (fields.text(3, "right", RIGHT_MAX)?, fields.item(4, "credential")?);
        let salt = fields.exact(5, "salt")?;
        let uses = Uses::read(&mut fields, 6)?;
        fields.close()?;
        Ok(Self { serial, issuer, right, credential, uses, salt })
    }
}

#[cfg(test)]
mod tests;
