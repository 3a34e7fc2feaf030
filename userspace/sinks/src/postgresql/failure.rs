//! What goes wrong with a PostgreSQL server, in sentences.

use std::error::Error as _;
use tokio_postgres::Error;

/// Why results did not arrive.
#[derive(Debug)]
pub(super) enum Failure {
    /// What the server, or the way to it, says.
    Server(Error),
    /// What we say.
    Said(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl Failure {
    /// In a sentence, about a server at this place and this user of it.
    pub(super) fn said(&self, place: &str, user: &str) -> String {
        let error = match self {
            Self::Server(error) => error,
            Self::Said(sentence) => return sentence.clone(),
        };
        let Some(refused) = error.as_db_error() else { return of_connection(error, place, user) };
        let message = refused.message();
        match refused.code().code() {
            "28P01" | "28000" => format!(
                "PostgreSQL at {place} does not let {user} in: {message}; put the right password into the file that \
                 password_file names, or name another user in the url"
            ),
            "3D000" => format!("PostgreSQL at {place} has no such database: {message}; createdb makes one"),
            "42501" => {
                format!("PostgreSQL at {place} does not let {user} do that: {message}; GRANT it to {user}")
            }
            code => {
                // Of data, it names the table, the line and the column.
                let place_of_it = refused.where_().and_then(|text| text.lines().next());
                let at = place_of_it.map_or_else(String::new, |text| format!(" ({text})"));
                format!("PostgreSQL at {place} refuses results: {message}{at} [{code}]")
            }
        }
    }
}

/// What is wrong with a connection; the last cause says it best.
fn of_connection(error: &Error, place: &str, user: &str) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
    match cause.as_str() {
        "password missing" => format!(
            "PostgreSQL at {place} asks for the password of {user}; give password_file = \"/etc/tapline/NAME.password\""
        ),
        _ if cause.contains("certificate") || cause.contains("does not support TLS") => format!(
            "PostgreSQL at {place} does not prove who it is: {cause}; give ca_file with the certificate of whoever \
             signed the server's, or sslmode=disable in the url where nobody else is on the way"
        ),
        _ => format!("PostgreSQL at {place} does not answer: {cause}; start it, or give another url"),
    }
}
