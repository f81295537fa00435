//! What the scanners that auditors use find at a listener with STARTTLS and at one with TLS
//! from the first octet: versions, suites, groups, and no finding.

#![allow(dead_code, reason = "each test uses its part of the support")]

mod support;

use std::fs;
use std::process::Command;

use serde_json::Value;
use support::Server;
use support::peers::{program, run, unpacked};

const HOST: &str = "mail.keep.test";

/// As sslscan and OpenSSL name them, and no others.
const SUITES: [&str; 6] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

fn start(policy: &str) -> Server {
    Server::start(&format!(
        "
        hostname   {HOST}
        data       @DIR@/data
        tls-policy {policy}
        certificate mail {{ local-authority; names {HOST} }}
        listener mx    {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}
        listener smtps {{ address 127.0.0.1; port 0; tls implicit; certificate mail }}
        domain keep.test {{ deliver-to maildir @DIR@/maildir; recipients any }}
        "
    ))
}

/// The values of an attribute in elements of this name whose text has `with` in it.
fn attributes<'a>(xml: &'a str, element: &str, with: &str, attribute: &str) -> Vec<&'a str> {
    let begins = format!("<{element} ");
    let wanted = format!(" {attribute}=\"");
    let elements = xml.lines().map(str::trim).filter(|line| line.starts_with(&begins));
    let mut found: Vec<&str> = elements
        .filter(|line| line.contains(with))
        .filter_map(|line| line.split_once(&wanted)?.1.split('"').next())
        .collect();
    found.sort_unstable();
    found
}

fn sslscan(server: &Server, listener: &str) -> String {
    let mut scan = Command::new(program("sslscan"));
    scan.args(["--xml=-", "--no-colour", &format!("--sni-name={HOST}")]);
    if listener == "mx" {
        scan.arg("--starttls-smtp");
    }
    run(scan.arg(server.address(listener).to_string())).ok()
}

#[test]
fn sslscan_finds_only_tls_1_2_and_1_3_with_forward_secrecy() {
    let server = start("modern");
    for listener in ["mx", "smtps"] {
        let xml = sslscan(&server, listener);
        let on = attributes(&xml, "protocol", "enabled=\"1\"", "version");
        assert_eq!(on, ["1.2", "1.3"], "{listener}: {xml}");
        let off = attributes(&xml, "protocol", "enabled=\"0\"", "version");
        assert_eq!(off, ["1.0", "1.1", "2", "3"], "{listener}: {xml}");
        assert_eq!(attributes(&xml, "cipher", "", "cipher"), SUITES, "{listener}: {xml}");
        let groups = attributes(&xml, "group", "", "name");
        assert_eq!(groups, ["secp256r1 (NIST P-256)", "secp384r1 (NIST P-384)", "x25519"]);
        assert!(attributes(&xml, "heartbleed", "vulnerable=\"1\"", "sslversion").is_empty());
        assert!(xml.contains("<renegotiation supported=\"0\""), "{listener}: {xml}");
        assert!(xml.contains("<signature-algorithm>ecdsa-with-SHA256<"), "{listener}: {xml}");
        assert!(xml.contains("<expired>false<"), "{listener}: {xml}");
    }
}

#[test]
fn a_strict_listener_shows_sslscan_tls_1_3_alone() {
    let server = start("strict");
    for listener in ["mx", "smtps"] {
        let xml = sslscan(&server, listener);
        let on = attributes(&xml, "protocol", "enabled=\"1\"", "version");
        assert_eq!(on, ["1.3"], "{listener}: {xml}");
        assert_eq!(attributes(&xml, "cipher", "", "cipher"), &SUITES[3..], "{listener}: {xml}");
    }
}

#[test]
fn sslyze_finds_the_listeners_compliant_with_mozillas_intermediate_and_sees_no_weakness() {
    let server = start("modern");
    let authority = server.dir().join("data/authority/ca.pem");
    for listener in ["mx", "smtps"] {
        let report = server.dir().join(format!("{listener}.json"));
        let mut scan = Command::new(unpacked("python").join("bin/sslyze"));
        scan.args(["--mozilla_config=intermediate", "--sni", HOST]);
        scan.arg("--certinfo_ca_file").arg(&authority);
        scan.arg(format!("--json_out={}", report.display()));
        if listener == "mx" {
            scan.arg("--starttls=smtp");
        }
        let ran = run(scan.arg(server.address(listener).to_string()));
        // sslyze ends with 1 where it finds anything that is not compliant.
        assert_eq!(ran.code, Some(0), "{}", ran.all());
        assert!(ran.stdout.contains("OK - Compliant"), "{}", ran.all());
        assert!(!ran.stdout.contains("VULNERABLE"), "{}", ran.all());

        let report: Value =
            serde_json::from_slice(&fs::read(report).expect("a report")).expect("JSON");
        let found = &report["server_scan_results"][0];
        assert_eq!(found["scan_status"], "COMPLETED", "{found}");
        let result = |name: &str| &found["scan_result"][name]["result"];
        for (version, suites) in [
            ("ssl_2_0", 0),
            ("ssl_3_0", 0),
            ("tls_1_0", 0),
            ("tls_1_1", 0),
            ("tls_1_2", 3),
            ("tls_1_3", 3),
        ] {
            let accepted = &result(&format!("{version}_cipher_suites"))["accepted_cipher_suites"];
            assert_eq!(accepted.as_array().map(Vec::len), Some(suites), "{version}: {accepted}");
        }
        for (check, finding, good) in [
            ("heartbleed", "is_vulnerable_to_heartbleed", false),
            ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", false),
            ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", false),
            ("session_renegotiation", "supports_secure_renegotiation", true),
            ("tls_compression", "supports_compression", false),
            ("tls_fallback_scsv", "supports_fallback_scsv", true),
            ("tls_extended_master_secret", "supports_ems_extension", true),
        ] {
            assert_eq!(result(check)[finding], good, "{check}: {}", result(check));
        }
        let robot = result("robot")["robot_result"].as_str().unwrap_or_default();
        assert!(robot.starts_with("NOT_VULNERABLE"), "{robot}");
    }
}
