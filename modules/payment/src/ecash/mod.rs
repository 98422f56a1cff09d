//! E-cash: coins that a mint signs blindly and takes back once (Cashu).
