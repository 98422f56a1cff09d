//! Semper's checks of whole protocols: the model checker's world, the simulator, and the bodies of the fuzz targets.
//!
//! Everything here drives the machines of the layers as they are in production; nothing is a copy of them. Start at [`model`]
//! (every order of events, small worlds), [`world`] (random orders, large numbers) or [`market`] (the same with money and goods);
//! [`fuzz`] feeds decoders.

pub mod deal;
pub mod fuzz;
pub mod issuer;
pub mod market;
pub mod mint;
pub mod model;
pub mod scenario;
pub mod signers;
pub mod symbolic;
pub mod world;
