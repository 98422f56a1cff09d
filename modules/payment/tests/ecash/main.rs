//! Tests of e-cash: the protocol's vectors, the mint's decisions, its storage under faults, its HTTP, and foreign wallets.

mod conditions;
mod faults;
mod foreign;
mod http;
mod payments;
mod quotes;
mod race;
mod refusals;
mod support;
mod vectors;
