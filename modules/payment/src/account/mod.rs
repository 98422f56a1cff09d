//! Accounts: a bank that keeps them, payers who authorise, payees who capture.
