//! The registry of domain-separation strings: every hash, signature and key derivation of Semper begins with one of these.
//!
//! A value made for one purpose can then never be taken for another (attack `cross_protocol`, `spec/encoding.md` §4). Each string
//! is used as it stands, before the data, with no terminator; that is sound because no string is a prefix of another, which a
//! test checks.

/// The purpose of a hash, signature or derived key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Domain(&'static str);

impl Domain {
    /// The bytes that stand before the data.
    pub fn as_bytes(self) -> &'static [u8] {
        self.0.as_bytes()
    }

    /// The same as text.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

macro_rules! registry {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Domain = Domain($text);)*
        /// Every registered string, for the test and for `spec/`.
        pub const ALL: &[Domain] = &[$($name),*];
    };
}

registry! {
    /// Identifier of a contract: over the whole core.
    CID = "semper/cid/1";
    /// Identifier of a contract's terms: label of key derivations.
    TID = "semper/tid/1";
    /// Identifier of a statement: who said what, whatever the signature bytes.
    STATEMENT = "semper/statement/1";
    /// `external_aad` of every COSE signature.
    SIGNATURE = "semper/signature/1";
    /// Thumbprint of a key set.
    KEY_SET = "semper/key-set/1";
    /// Hash of a template.
    TEMPLATE = "semper/template/1";
    /// Hash of the filled fields of a document.
    FIELDS = "semper/fields/1";
    /// Hash of the text that was shown.
    RENDER = "semper/render/1";
    /// Hash of a container.
    CONTAINER = "semper/container/1";
    /// Hash of a file or another piece of information, whole.
    INFORMATION = "semper/information/1";
    /// Leaf of the arbiter's log.
    LOG_LEAF = "semper/log-leaf/1";
    /// Hash of a sealed message, as receipts name it.
    SEALED = "semper/sealed/1";
    /// `info` of HPKE for messages between nodes.
    TRANSPORT = "semper/session-transport/1";
    /// Key and associated data of an answer that an inbox seals for the sender of a message.
    REPLY = "semper/reply/1";
    /// Hash of an arbiter's rules.
    RULES = "semper/rules/1";
    /// Integrity check of a deal folder.
    FOLDER = "semper/folder/1";
    /// Key that protects a stored secret.
    KEY_STORE = "semper/key-store/1";
    /// Key that protects secrets whose other key is on a security token.
    TOKEN_KEYS = "semper/token-keys/1";
    /// Idempotency key of one input of a machine.
    INPUT = "semper/input/1";
    /// Leaf of a Merkle tree over the ciphertext of a good.
    MERKLE_LEAF_CIPHER = "semper/merkle-leaf-c/1";
    /// Leaf of a Merkle tree over the plaintext of a good.
    MERKLE_LEAF_PLAIN = "semper/merkle-leaf-p/1";
    /// Salt of a chunk of a good, derived from its key.
    CHUNK_SALT = "semper/chunk-salt/1";
    /// Key that wraps a content key for one contract.
    CONTENT_KEY_WRAP = "semper/ck-wrap/1";
    /// Hash of the key to which deposits with an arbiter are encapsulated.
    DEPOSIT_KEY = "semper/deposit-key/1";
    /// Hash of a proof that an item is not what was promised.
    MISBEHAVIOUR = "semper/misbehaviour/1";
    /// Hash of where locked money is to go.
    PAYOUT = "semper/payout/1";
    /// Hash of a token that an arbiter is handed.
    TOKEN = "semper/token/1";
    /// Identifier of a payment operation: over deal, slot and verb.
    OPERATION = "semper/operation/1";
    /// Tag of a lock: over the contract and a salt, so that the issuer cannot link the two.
    LOCK_TAG = "semper/lock-tag/1";
    /// Hash of an order, as the bank sees it.
    ORDER = "semper/order/1";
    /// Hash of a payment instruction, as the payee sees it.
    INSTRUCTION = "semper/instruction/1";
    /// Hash of a proof of payment.
    PROOF = "semper/proof/1";
    /// Hash of a case: what is judged.
    CASE = "semper/case/1";
    /// Hash of one item of a case.
    CASE_ITEM = "semper/case-item/1";
    /// Hash of the rules of evidence.
    CLAIM_RULES = "semper/claim-rules/1";
    /// Tag of a contract that a use of a credential is kept for.
    USE_TAG = "semper/use-tag/1";
    /// Tag of a contract that a guarantor stands for somebody under.
    COVER_TAG = "semper/cover-tag/1";
    /// Secrets of a purse, derived from its owner's seed.
    PURSE = "semper/purse/1";
    /// Chain of the entries of a vault's log.
    VAULT_LOG = "semper/vault-log/1";
    /// Key of that chain, from the signature keys.
    VAULT_LOG_KEY = "semper/vault-log-key/1";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    // Two purposes with one string, or one string that begins with another, would let a value of one purpose stand for another.
    #[test]
    fn strings_are_distinct_and_prefix_free() {
        for (i, a) in ALL.iter().enumerate() {
            for (j, b) in ALL.iter().enumerate() {
                assert!(i == j || !a.as_str().starts_with(b.as_str()), "{a:?} begins with {b:?}");
            }
        }
    }
}
