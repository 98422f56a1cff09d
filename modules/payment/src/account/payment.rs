//! A payment with hidden data, as iKP and SET did it: the payee sees that its bank will pay, not whose account; the bank sees whose
//! account, not what for.
//!
//! ```text
//! details     = { 0: 1, 1: bank's key set id, 2: the payee's key set, 3: highest level }             ; in the payment request
//! instruction = { 0: 1, 1: payer's account, 2: payee's key set id, 3: amount, 4: order hash, 5: nonce (32 bytes), 6: authorise before,
//!                 7: held until, 8: level, 9: most fee, ? 10: condition, ? 11: MAC, ? 12: true }   ; 11 in levels 1 and 2
//! condition   = { 0: tag, 1: payer's key set, 2: payee's key set, 3: arbiter's key set }
//! token       = { 0: 1, 1: sealed instruction, 2: order, ? 3: signature: the signed order }         ; 3 in level 3
//! ```
//! The instruction is sealed for the bank (HPKE, context `"semper/instruction/1" ‖ bank's key set id`), so that the payee holds bytes
//! that say nothing; the order binds them by their hash to the order hash, which says nothing to the bank. `H("semper/instruction/1" ‖
//! sealed)` names the payment at the bank: the *hold*.
//!
//! | level | certified | the payer proves itself by | the payee learns of the payer |
//! |---|---|---|---|
//! | 1 | the bank | MAC with a key that the bank knows | nothing |
//! | 2 | and the payee | the same | nothing |
//! | 3 | and the payer | signature of the order | its key set, not its account |
//!
//! The MAC: HMAC-SHA-256 over `"semper/instruction/1" ‖` the instruction without field 11. Its key is derived from the owner's seed; no
//! secret from which anything else could be derived is ever handed to the bank.

use aws_lc_rs::hmac;
use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Record, Value, record};
use semper_core::cose::Signed;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::party::KeySet;
use semper_core::time::Time;
use semper_transfer::payment::statement::{PaymentOrder, instruction_hash};

use super::number::AccountNumber;

/// Largest sealed instruction, in bytes.
pub const SEALED_MAX: usize = 24 * 1024;
/// Largest token, in bytes.
pub const TOKEN_MAX: usize = 48 * 1024;

/// Who has a certificate in a payment (iKP's 1KP, 2KP and 3KP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Only the bank.
    One,
    /// The bank and the payee.
    Two,
    /// Bank, payee and payer; the payer signs the order.
    Three,
}

/// How a payee is paid: the details of its payment request. Also either side's details of a conditional hold, where the key set is
/// the one that signs releases.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Details {
    /// The bank, by its key set.
    pub bank: KeySetId,
    /// The owner of the account that takes the money.
    pub owner: KeySet,
    /// The highest level that this owner's certificates allow: 1 or 3.
    pub level: Level,
}

/// What the payer tells its bank, and nobody else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// The account that pays.
    pub account: AccountNumber,
    /// Who may take the money: the owner of an account at the same bank.
    pub payee: KeySetId,
    /// How much.
    pub amount: Amount,
    /// The order hash, or the tag of a lock: what for, for those who know the salt.
    pub order: Digest,
    /// Fresh random bytes.
    pub nonce: [u8; 32],
    /// When it is no longer authorised.
    pub authorise_before: Time,
    /// Until when the money is held.
    pub held_until: Time,
    /// Who has a certificate.
    pub level: Level,
    /// The most that the payer pays for it on top.
    pub fee_most: Amount,
    /// What capture and return depend on, if it is not the payee's word alone.
    pub condition: Option<Condition>,
    /// How much of it the payee may take.
    pub capture: Capture,
}

/// How much of the money that it holds a payee may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capture {
    /// As much as it likes, at several times.
    Parts,
    /// All at once or nothing: whoever takes a part would owe no receipt for the whole.
    Whole,
}

impl Capture {
    /// As it is written: `true` for all or nothing, left out otherwise.
    pub(super) fn written(self) -> Option<bool> {
        (self == Self::Whole).then_some(true)
    }

    /// Reads what [`Capture::written`] has written.
    pub(super) fn read(value: Option<Value>) -> Result<Self, DecodeError> {
        match value {
            None => Ok(Self::Parts),
            Some(Value::Bool(true)) => Ok(Self::Whole),
            Some(_) => Err(DecodeError::field("whole", Problem::OutOfRange("it is true or not there"))),
        }
    }
}

/// Whose word moves the money of a conditional hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The lock's tag, as releases name it.
    pub tag: Digest,
    /// Can release the money to the payee.
    pub payer: KeySet,
    /// Can release the money to the payer.
    pub payee: KeySet,
    /// Can release it either way.
    pub arbiter: KeySet,
}

/// What the payer hands to the payee.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// The sealed [`Instruction`].
    pub sealed: Vec<u8>,
    /// The order, which binds it.
    pub order: PaymentOrder,
    /// The same order with the payer's signature, in level 3.
    pub signature: Option<Signed>,
}

impl Level {
    /// The number.
    pub const fn number(self) -> u64 {
        match self {
            Level::One => 1,
            Level::Two => 2,
            Level::Three => 3,
        }
    }
}

impl Instruction {
    /// What [`semper_support::crypto::Seal`] and `Open` are given as context.
    pub fn context(bank: KeySetId) -> Vec<u8> {
        [domain::INSTRUCTION.as_bytes(), bank.as_bytes()].concat()
    }

    /// The instruction as it is sealed, with a MAC under `key` in levels 1 and 2.
    pub fn authenticated(&self, key: &[u8; 32]) -> Vec<u8> {
        let open = self.fields();
        if self.level == Level::Three {
            return open.build().encode();
        }
        let mac = hmac::sign(&mac_key(key), &self.covered());
        open.put_bytes(11, mac.as_ref()).build().encode()
    }

    /// Reads what was sealed, with the MAC if there is one.
    ///
    /// # Errors
    /// [`DecodeError`]: not an instruction, or a MAC where the level has none, or none where it must have one.
    pub fn read(bytes: &[u8]) -> Result<(Self, Option<Vec<u8>>), DecodeError> {
        let value = semper_core::cbor::decode(bytes, SEALED_MAX)?;
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let instruction = Self {
            account: fields.item(1, "account")?,
            payee: fields.item(2, "payee")?,
            amount: fields.item(3, "amount")?,
            order: fields.item(4, "order")?,
            nonce: fields.exact(5, "nonce")?,
            authorise_before: fields.item(6, "authorise before")?,
            held_until: fields.item(7, "held until")?,
            level: fields.item(8, "level")?,
            fee_most: fields.item(9, "most fee")?,
            condition: fields.optional_item(10, "condition")?,
            capture: Capture::read(fields.optional(12))?,
        };
        let mac: Option<Vec<u8>> = fields.optional_item(11, "MAC")?;
        fields.close()?;
        if mac.is_some() == (instruction.level == Level::Three) {
            return Err(DecodeError::field("MAC", Problem::OutOfRange("levels 1 and 2 have a MAC, level 3 has none")));
        }
        Ok((instruction, mac))
    }

    /// Whether `mac` was made with `key` for exactly this instruction; takes the same time for every wrong one.
    pub fn is_authentic(&self, key: &[u8; 32], mac: &[u8]) -> bool {
        hmac::verify(&mac_key(key), &self.covered(), mac).is_ok()
    }

    fn covered(&self) -> Vec<u8> {
        [domain::INSTRUCTION.as_bytes(), &self.fields().build().encode()].concat()
    }

    fn fields(&self) -> Record {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.account)
            .put_item(2, &self.payee)
            .put_item(3, &self.amount)
            .put_item(4, &self.order)
            .put_bytes(5, self.nonce)
            .put_item(6, &self.authorise_before)
            .put_item(7, &self.held_until)
            .put_item(8, &self.level)
            .put_item(9, &self.fee_most)
            .put_some(10, self.condition.as_ref().map(Encode::to_value))
            .put_some(12, self.capture.written())
    }
}

fn mac_key(key: &[u8; 32]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key)
}

impl Condition {
    /// What an authorisation names the condition by.
    pub fn hash(&self) -> Digest {
        Digest::of(domain::LOCK_TAG, &self.to_bytes())
    }
}

impl Token {
    /// The name of the payment at the bank: the hash of the sealed instruction.
    pub fn hold(&self) -> Digest {
        instruction_hash(&self.sealed)
    }
}

impl Encode for Level {
    fn to_value(&self) -> Value {
        self.number().into()
    }
}

impl Decode for Level {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        match u64::from_value(value)? {
            1 => Ok(Level::One),
            2 => Ok(Level::Two),
            3 => Ok(Level::Three),
            other => Err(DecodeError::field("", Problem::Unknown { what: "level", found: other.to_string() })),
        }
    }
}

impl Encode for Details {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.bank).put_item(2, &self.owner).put_item(3, &self.level).build()
    }
}

impl Decode for Details {
    const BYTES_MAX: usize = 8 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (bank, owner) = (fields.item(1, "bank")?, fields.item(2, "owner")?);
        let details = Self { bank, owner, level: fields.item(3, "level")? };
        fields.close()?;
        Ok(details)
    }
}

impl Encode for Condition {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.tag)
            .put_item(1, &self.payer)
            .put_item(2, &self.payee)
            .put_item(3, &self.arbiter)
            .build()
    }
}

impl Decode for Condition {
    const BYTES_MAX: usize = 16 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (tag, payer) = (fields.item(0, "tag")?, fields.item(1, "payer")?);
        let condition = Self { tag, payer, payee: fields.item(2, "payee")?, arbiter: fields.item(3, "arbiter")? };
        fields.close()?;
        Ok(condition)
    }
}

impl Encode for Token {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_bytes(1, &self.sealed)
            .put_item(2, &self.order)
            .put_some(3, self.signature.as_ref().map(Encode::to_value))
            .build()
    }
}

impl Decode for Token {
    const BYTES_MAX: usize = TOKEN_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (sealed, order) = (fields.bytes(1, "sealed instruction", SEALED_MAX)?, fields.item(2, "order")?);
        let token = Self { sealed, order, signature: fields.optional_item(3, "signature")? };
        fields.close()?;
        if token.hold() != token.order.instruction {
            return Err(DecodeError::field("order", Problem::OutOfRange("the order is for another instruction")));
        }
        if token.signature.as_ref().is_some_and(|signed| signed.payload() != token.order.to_bytes()) {
            return Err(DecodeError::field("signature", Problem::OutOfRange("the signature is for another order")));
        }
        Ok(token)
    }
}
