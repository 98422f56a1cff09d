//! With what deal folders are checked on this machine: by the command line and by the desk.

use std::sync::Arc;

use semper_core::ids::KeySetId;
use semper_crypto::{Encapsulator, Sealer, Verifier};
use semper_exchange::claims::{self, Case, Policy, Positions};
use semper_exchange::evidence::{Checks, Folder, Report};
use semper_transfer::payment::Module;
use semper_trust::timestamp::TokenReader;

use crate::now;
use crate::submission::SubmissionReader;

/// The payment systems whose proofs can be read. It knows no secret and asks nobody.
pub struct Bench(Vec<Box<dyn Module>>);

impl Default for Bench {
    fn default() -> Self {
        Self(semper_payment::judges(Arc::new(Sealer)))
    }
}

impl Bench {
    /// The payment systems.
    pub fn systems(&self) -> Vec<&dyn Module> {
        self.0.iter().map(AsRef::as_ref).collect()
    }

    /// The means of checking, over [`Self::systems`].
    pub fn checks<'a>(&'a self, systems: &'a [&'a dyn Module]) -> Checks<'a> {
        let (kem, stamps, submissions) =
            (Some(&Encapsulator as _), Some(&TokenReader as _), Some(&SubmissionReader as _));
        Checks { verify: &Verifier, kem, systems, stamps, submissions }
    }

    /// What a folder shows, and what can be proven with it now, as a party of its deal sees it.
    ///
    /// # Errors
    /// The folder belongs to no case: see [`Case::of`].
    pub fn positions(&self, folder: Folder, me: KeySetId) -> Result<(Report, Positions), claims::CaseError> {
        let systems = self.systems();
        let report = Case::of(&[folder])?.examine(&self.checks(&systems));
        let positions = claims::positions(&report, &Policy::at(now()), me);
        Ok((report, positions))
    }
}
