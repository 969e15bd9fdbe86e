//! Who a process is: a certificate authority made for one run, and a certificate for each of its nodes.
//!
//! A certificate is valid for one node of one run, and for as long as anybody keeps the run's authority: no clock is
//! asked, since the devices' clocks may be wrong. Both ends of a connection show one, TLS 1.3 only.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Why an identity cannot be made or used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct IdentityError(String);

fn failed(what: &'static str) -> impl FnOnce(&dyn fmt::Display) -> IdentityError {
    move |error| IdentityError(format!("{what}: {error}"))
}

/// The certificate authority of one run. Whoever has it can join the run.
pub struct Authority {
    run: String,
    key: KeyPair,
    certificate: String,
}

impl Authority {
    /// A new authority for a run.
    ///
    /// # Errors
    /// [`IdentityError`] when the system gives no random numbers.
    pub fn new(run: &str) -> Result<Self, IdentityError> {
        let key = KeyPair::generate().map_err(|e| failed("cannot make a key")(&e))?;
        let certificate = authority_params(run)
            .self_signed(&key)
            .map_err(|e| failed("cannot sign the authority")(&e))?
            .pem();
        Ok(Self { run: run.to_owned(), key, certificate })
    }

    /// The authority that [`Authority::certificate_pem`] and [`Authority::key_pem`] came from.
    ///
    /// # Errors
    /// [`IdentityError`] when the key is not one.
    pub fn from_pem(run: &str, certificate: &str, key: &str) -> Result<Self, IdentityError> {
        let key = KeyPair::from_pem(key).map_err(|e| failed("not a private key in PEM")(&e))?;
        Ok(Self { run: run.to_owned(), key, certificate: certificate.to_owned() })
    }

    /// Its certificate, which every node gets.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// Its private key, which nobody gets.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A new certificate and key for a node.
    ///
    /// # Errors
    /// [`IdentityError`] when the system gives no random numbers.
    pub fn issue(&self, node: &str) -> Result<Identity, IdentityError> {
        let key = KeyPair::generate().map_err(|e| failed("cannot make a key")(&e))?;
        let mut params = CertificateParams::new(vec![dns_name(&self.run, node)])
            .map_err(|e| failed("cannot name a certificate")(&e))?;
        params.distinguished_name.push(DnType::CommonName, node);
        params.distinguished_name.push(DnType::OrganizationName, self.run.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let issuer = Issuer::new(authority_params(&self.run), &self.key);
        let certificate =
            params.signed_by(&key, &issuer).map_err(|e| failed("cannot sign a certificate")(&e))?.pem();
        Ok(Identity { authority: self.certificate.clone(), certificate, key: key.serialize_pem() })
    }
}

fn authority_params(run: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "hcddl run");
    params.distinguished_name.push(DnType::OrganizationName, run);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// The name in a certificate. Hashed, since nodes and runs may have names that DNS does not allow.
fn dns_name(run: &str, node: &str) -> String {
    let mut hash = Sha256::new();
    for part in [run, node] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hex = hcddl_core::domain::text::hex(&hash.finalize()[..16]);
    format!("n-{hex}.hcddl")
}

/// What a node shows and trusts, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Certificate of the run's authority.
    pub authority: String,
    /// Certificate of the node.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// The two ends of TLS for one node.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    run: String,
    pub client: Arc<ClientConfig>,
    pub server: Arc<ServerConfig>,
}

impl Tls {
    pub fn new(run: &str, identity: &Identity) -> Result<Self, IdentityError> {
        let authority = CertificateDer::from_pem_slice(identity.authority.as_bytes())
            .map_err(|e| failed("the authority is not a certificate in PEM")(&e))?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())
            .map_err(|e| failed("not a certificate in PEM")(&e))?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
            .map_err(|e| failed("not a private key in PEM")(&e))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority).map_err(|e| failed("the authority cannot be used")(&e))?;
        let roots = Arc::new(roots);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let unusable = |e: rustls::Error| failed("certificate and key cannot be used")(&e);
        let client = client(&provider, &roots, &certificate, key.clone_key()).map_err(unusable)?;
        let server = server(&provider, &roots, &certificate, key).map_err(unusable)?;
        Ok(Self { run: run.to_owned(), client: Arc::new(client), server: Arc::new(server) })
    }

    /// The name that the certificate of a node must have.
    pub fn name_of(&self, node: &str) -> ServerName<'static> {
        ServerName::try_from(dns_name(&self.run, node)).expect("hex digits are a DNS name")
    }

    /// Whether the peer's certificate, whose chain the handshake has checked, is that of this node.
    pub fn is(&self, certificates: Option<&[CertificateDer<'_>]>, node: &str) -> bool {
        certificates
            .and_then(|chain| chain.first())
            .and_then(|certificate| ParsedCertificate::try_from(certificate).ok())
            .is_some_and(|certificate| verify_server_name(&certificate, &self.name_of(node)).is_ok())
    }
}

fn client(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    certificate: &CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|e| rustls::Error::General(e.to_string()))?;
    let mut config = ClientConfig::builder_with_details(provider.clone(), Arc::new(NoClock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(vec![certificate.clone()], key)?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn server(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    certificate: &CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|e| rustls::Error::General(e.to_string()))?;
    let mut config = ServerConfig::builder_with_details(provider.clone(), Arc::new(NoClock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.clone()], key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// A moment within the validity of every certificate of ours: devices may not know what time it is.
#[derive(Debug)]
struct NoClock;

impl TimeProvider for NoClock {
    fn current_time(&self) -> Option<UnixTime> {
        const YEAR_2020: u64 = 1_577_836_800;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(YEAR_2020)))
    }
}

/// A number that nobody can guess.
pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    // It fails only on systems without a source of randomness, where no key could be made either.
    let _ = aws_lc_rs::default_provider().secure_random.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
