//! The address of an archive.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::PostgresOpenError;

/// The schema of an archive whose address names none.
const SCHEMA: &str = "semper";
/// PostgreSQL cuts longer names off, so that two would be one.
const SCHEMA_BYTES_MAX: usize = 63;

/// How to connect, and the name of the schema: safe to be put into SQL.
pub(super) fn parse(url: &str, statement_timeout: Duration) -> Result<(PgConnectOptions, String), PostgresOpenError> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(PostgresOpenError::Address("it does not begin with postgres://".to_owned()));
    }
    let (base, parameters) = url.split_once('?').unwrap_or((url, ""));
    let parameters = parameters.split('&').filter(|parameter| !parameter.is_empty());
    let (schemas, others): (Vec<_>, Vec<_>) = parameters.partition(|parameter| parameter.starts_with("schema="));
    let schema = match schemas[..] {
        [] => SCHEMA,
        [one] => &one["schema=".len()..],
        _ => return Err(PostgresOpenError::Address("it names more than one schema".to_owned())),
    };
    if !is_schema_name(schema) {
        return Err(PostgresOpenError::Address(
            "a schema has 1 to 63 lower-case letters, digits and _, and begins with a letter".to_owned(),
        ));
    }
    let address = format!("{base}?{}", others.join("&"));
    // What is wrong with it is said without the address, which may hold a password.
    let connect =
        PgConnectOptions::from_str(&address).map_err(|error| PostgresOpenError::Address(error.to_string()))?;
    let names_tls = |parameter: &&str| parameter.starts_with("sslmode=") || parameter.starts_with("ssl-mode=");
    let connect = if is_local(&connect) || others.iter().any(names_tls) || std::env::var_os("PGSSLMODE").is_some() {
        connect
    } else {
        connect.ssl_mode(PgSslMode::VerifyFull)
    };
    Ok((connect.options(session(schema, statement_timeout)).disable_statement_logging(), schema.to_owned()))
}

/// What every connection begins with. A lock is waited for half as long as a statement may take, so that it is known what was too slow; a
/// transaction of a process that is gone must not keep its locks.
fn session(schema: &str, statement_timeout: Duration) -> [(&'static str, String); 4] {
    let ms = statement_timeout.as_millis().clamp(2, i32::MAX as u128 / 2);
    [
        ("search_path", schema.to_owned()),
        ("statement_timeout", ms.to_string()),
        ("lock_timeout", (ms / 2).to_string()),
        ("idle_in_transaction_session_timeout", (ms * 2).to_string()),
    ]
}

fn is_schema_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= SCHEMA_BYTES_MAX && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(fits)
}

/// Whether the server is on this machine, so that nobody on the network can stand between.
fn is_local(connect: &PgConnectOptions) -> bool {
    let host = connect.get_host();
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    connect.get_socket().is_some() || host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parsed(url: &str) -> Result<(PgConnectOptions, String), PostgresOpenError> {
        parse(url, Duration::from_secs(1))
    }

    // A name from an address becomes part of SQL.
    #[test]
    fn a_schema_is_a_plain_name() {
        assert_eq!(parsed("postgres://localhost/db").unwrap().1, "semper");
        assert_eq!(parsed("postgres://localhost/db?sslmode=disable&schema=arbiter_2").unwrap().1, "arbiter_2");
        let long = "x".repeat(64);
        for wrong in ["", "A", "1a", "a\"b", "a;b", "a%22", "a b", "ä", &long, "a&schema=b"] {
            let refused = parsed(&format!("postgres://localhost/db?schema={wrong}"));
            assert!(matches!(refused, Err(PostgresOpenError::Address(_))), "{wrong}");
        }
    }

    // Without it, whoever is on the way reads the password and every state, and answers what he likes.
    #[test]
    fn a_server_elsewhere_proves_its_name_unless_the_address_says_otherwise() {
        let mode = |url: &str| parsed(url).unwrap().0.get_ssl_mode();
        assert!(matches!(mode("postgres://db.example/x"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://192.0.2.1/x?schema=a"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://db.example/x?sslmode=require"), PgSslMode::Require));
        assert!(matches!(mode("postgres://127.0.0.1/x"), PgSslMode::Prefer));
        assert!(matches!(mode("postgres://[::1]/x"), PgSslMode::Prefer));
    }

    #[test]
    fn a_wrong_address_is_not_repeated() {
        let refused = parsed("postgres://me:secret@host:notaport/db").unwrap_err();
        assert!(!refused.to_string().contains("secret"), "{refused}");
        assert!(matches!(parsed("mysql://localhost/db"), Err(PostgresOpenError::Address(_))));
    }
}
