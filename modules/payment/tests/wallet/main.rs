//! The e-cash wallet: alone against hostile mints, with our mint under the contract kit of the payment block, with a foreign mint over HTTP.

mod foreign;
mod hostile;
mod kit;
mod tasks;
mod vectors;
mod world;
