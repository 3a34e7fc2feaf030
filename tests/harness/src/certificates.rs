//! Certificates for tests, made by openssl(1) as operators make theirs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// Times between which a certificate holds that is in order.
pub const IN_ORDER: [&str; 2] = ["20200101000000Z", "20490101000000Z"];
/// Times of one that is not any more.
pub const EXPIRED: [&str; 2] = ["20200101000000Z", "20200201000000Z"];

/// What an authority is asked with.
const SETTINGS: &str = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nrand_serial = yes\nnew_certs_dir = .\n\
                        default_md = sha256\npolicy = any\nunique_subject = no\n[any]\ncommonName = supplied\n[node]\n\
                        subjectAltName = IP:127.0.0.1, DNS:localhost\nbasicConstraints = CA:FALSE\n";

/// How openssl makes a key, and something about it.
const NEW_KEY: &str = "req -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1";

/// Whoever signs certificates; what it made goes with it.
pub struct Authority {
    folder: TempDir,
}

/// A certificate of a node on this machine, and its key.
pub struct Pair {
    /// Where the certificate is, as PEM.
    pub certificate: PathBuf,
    /// Where the key is.
    pub key: PathBuf,
}

impl Authority {
    /// A new one; `None`, and a line that says why, where openssl is not installed.
    ///
    /// # Panics
    /// When openssl fails.
    #[must_use]
    pub fn new() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            println!("skipped: openssl is not installed (`cargo xtask setup --for test` installs it)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("settings"), SETTINGS).expect("a temporary file");
        fs::write(folder.path().join("index"), "").expect("a temporary file");
        let authority = Self { folder };
        authority.ask(&format!("{NEW_KEY} -x509 -days 30 -subj /CN=tests -keyout own.key -out own.pem"));
        Some(authority)
    }

    /// Its own certificate, which whoever trusts it has.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("own.pem")
    }

    /// Signs a certificate of this name for a node on this machine.
    ///
    /// # Panics
    /// When openssl fails.
    #[must_use]
    pub fn sign(&self, name: &str, [begin, end]: [&str; 2]) -> Pair {
        self.ask(&format!("{NEW_KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        self.ask(&format!(
            "ca -batch -notext -config settings -extensions node -cert own.pem -keyfile own.key -in {name}.csr \
             -out {name}.pem -startdate {begin} -enddate {end}"
        ));
        let path = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        Pair { certificate: path("pem"), key: path("key") }
    }

    fn ask(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        let output = command.output().expect("openssl starts");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
