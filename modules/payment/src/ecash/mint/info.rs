//! What the mint says of itself (NUT-06).

use bitcoin::Network;
use bitcoin::bip32::Xpriv;
use cashu::{PublicKey, SECP256K1};
use serde_json::{Value, json};

use super::Mint;

impl Mint {
    /// The answer of `GET /v1/info`.
    pub fn info(&self) -> Value {
        let settings = &self.settings;
        let warning = self.backends.iter().find_map(|backend| backend.warning());
        let name = warning.map_or_else(|| settings.name.clone(), |warning| format!("{warning}: {}", settings.name));
        let description = warning
            .map_or_else(|| settings.description.clone(), |warning| format!("{warning}. {}", settings.description));
        let mut info = json!({
            "name": name,
            "version": concat!("semper/", env!("CARGO_PKG_VERSION")),
            "description": description,
            "urls": settings.urls,
            "time": self.now().unix(),
            "nuts": self.nuts(),
        });
        let fields = [("pubkey", self.public_key().map(|key| key.to_hex())), ("motd", warning.map(str::to_owned))];
        for (name, value) in fields {
            if let Some(value) = value {
                info[name] = value.into();
            }
        }
        info
    }

    fn nuts(&self) -> Value {
        let methods = self.methods();
        let supported = json!({ "supported": true });
        json!({
            "4": { "methods": methods, "disabled": false },
            "5": { "methods": methods, "disabled": false },
            "7": supported, "8": supported, "9": supported, "10": supported, "11": supported, "12": supported,
            "14": supported,
            "19": { "ttl": null, "cached_endpoints": self.cached() },
            "20": supported,
        })
    }

    fn methods(&self) -> Vec<Value> {
        let of = |backend: &dyn super::backend::Backend| {
            let (least, most) = backend.limits();
            let (method, units) = (backend.method().to_owned(), backend.units().to_vec());
            let row = move |unit: crate::ecash::keyset::Unit| json!({ "method": method, "unit": unit.name(), "min_amount": least, "max_amount": most });
            units.into_iter().map(row).collect::<Vec<_>>()
        };
        self.backends.iter().flat_map(|backend| of(&**backend)).collect()
    }

    /// Endpoints whose answers can be had again by sending the same request again: for ever, because they are computed from facts.
    fn cached(&self) -> Vec<Value> {
        let endpoint = |path: String| json!({ "method": "POST", "path": path });
        let of = |method: &str| [format!("/v1/mint/{method}"), format!("/v1/melt/{method}")];
        let paths = self.backends.iter().flat_map(|backend| of(backend.method()));
        std::iter::once("/v1/swap".to_owned()).chain(paths).map(endpoint).collect()
    }

    /// The public key of the seed's master key; all keysets' keys are hardened children of it, so it says nothing about them.
    fn public_key(&self) -> Option<PublicKey> {
        let master = Xpriv::new_master(Network::Bitcoin, &self.seed).ok()?;
        Some(master.private_key.public_key(&SECP256K1).into())
    }
}
