//! Faxes that come in, from a server that speaks hfaxd's protocol. The real one is asked in
//! `hylafax.rs`.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use fax::Resolution;
use lab::Script;
use pages::bitmap::Bitmap;
use pages::coding::Coding;
use pages::tiff_f::{Profile, write};
use support::faxes::{attached, wait_until_quiet};
use support::partners::Lab;
use support::{Server, shown, wait_for};

const PASSWORD: &str = "a word for hfaxd";

/// Received files, and every command that was said.
#[derive(Default)]
struct Recvq {
    files: BTreeMap<String, Vec<u8>>,
    said: Vec<String>,
}

/// A server with received faxes.
struct Hfaxd {
    address: SocketAddr,
    recvq: Arc<Mutex<Recvq>>,
}

impl Hfaxd {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let recvq = Arc::<Mutex<Recvq>>::default();
        let shared = Arc::clone(&recvq);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let recvq = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &recvq));
            }
        });
        Self { address, recvq }
    }

    fn receive(&self, name: &str, file: Vec<u8>) {
        self.recvq.lock().unwrap().files.insert(name.to_owned(), file);
    }

    fn files(&self) -> Vec<String> {
        self.recvq.lock().unwrap().files.keys().cloned().collect()
    }

    fn count(&self, command: &str) -> usize {
        let recvq = self.recvq.lock().unwrap();
        recvq.said.iter().filter(|said| said.starts_with(command)).count()
    }
}

fn serve(stream: TcpStream, recvq: &Mutex<Recvq>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    let mut data: Option<TcpListener> = None;
    let mut is_administrator = false;
    writer.write_all(b"220 test ready.\r\n").ok()?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        let mut recvq = recvq.lock().unwrap();
        recvq.said.push(line.clone());
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let name = rest.trim_start_matches("recvq/");
        let octets = match command {
            "LIST" => {
                let of = |(name, file): (&String, &Vec<u8>)| {
                    format!(" |{}|2026/11/23 07.07.58|{name}\r\n", file.len())
                };
                let mut list: String = recvq.files.iter().map(of).collect();
                list.push_str("*|100|2026/11/23 07.08.00|fax000000099.tif\r\n");
                Some(list.into_bytes())
            }
            "RETR" => recvq.files.get(name).cloned(),
            _ => None,
        };
        let reply = match command {
            "USER" => "331 Password required.".to_owned(),
            "PASS" if rest != format!("\"{PASSWORD}\"") => "530 Login incorrect.".to_owned(),
            "ADMIN" => {
                is_administrator = true;
                "230 Administrative privileges established.".to_owned()
            }
            "PASV" => {
                let listener = TcpListener::bind("127.0.0.1:0").ok()?;
                let port = listener.local_addr().ok()?.port();
                data = Some(listener);
                format!("227 Entering passive mode (127,0,0,1,{},{})", port >> 8, port & 255)
            }
            "LIST" | "RETR" => {
                let Some(octets) = octets else {
                    writer.write_all(b"550 no such file.\r\n").ok()?;
                    continue;
                };
                writer.write_all(b"150 Opening new data connection.\r\n").ok()?;
                data.take()?.accept().ok()?.0.write_all(&octets).ok()?;
                "226 Transfer complete.".to_owned()
            }
            "DELE" if is_administrator => {
                recvq.files.remove(name);
                "250 DELE command successful.".to_owned()
            }
            "DELE" => "550 Operation not permitted.".to_owned(),
            _ => "200 fine.".to_owned(),
        };
        writer.write_all(format!("{reply}\r\n").as_bytes()).ok()?;
    }
}

/// A file as faxgetty writes it: pages, the other machine's name, and what the line told.
fn received(pages: &[Bitmap], caller: &str, called: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fax.tif");
    std::fs::write(&path, write(pages, Resolution::Fine, Profile::Extended(Coding::Mr))).unwrap();
    for page in 0..pages.len() {
        let description = format!("The other machine\n{caller}\n\n\n{called}");
        let page = page.to_string();
        let set = Command::new("tiffset")
            .args(["-d", &page, "-s", "270", &description])
            .arg(&path)
            .output()
            .expect("tiffset (Debian package libtiff-tools)");
        assert!(set.status.success(), "{}", shown(&set));
    }
    std::fs::read(&path).unwrap()
}

fn page(rows: usize, seed: usize) -> Bitmap {
    let mut page = Bitmap::white(rows);
    for row in 0..rows {
        page.fill((row * 11 + seed * 97) % 1_700, row, 4 + row % 20, 1);
    }
    page
}

fn clinic(hfaxd: &Hfaxd, inbound: &str, more: &str) -> Server {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), PASSWORD).unwrap();
    Server::start_in(
        folder,
        &format!(
            "hostname mx.clinic.example
            data @DIR@/data
            control @DIR@/control
            listener mx {{ port 0; address 127.0.0.1; tls off }}
            domain clinic.example {{ deliver-to maildir @DIR@/maildir }}
            credentials line {{ user mailkeep; password file:@DIR@/secret }}
            fax clinic {{
                domains fax.clinic.example
                organisation \"Clinic of Example\"
                main-number \"+1 202 555 0199\"
                country US
                user ann@clinic.example {{ number \"+1 202 555 0101\" }}
                mail-server-white-list 127.0.0.1
                transport none
                inbound {{
                    from hylafax {} credentials line
                    every 1s
                    route \"+1 202 555 0102\" lab@clinic.example
                    catch-all desk@clinic.example
                    junk +44
                    {inbound}
                }}
            }}
            {more}
            ",
            hfaxd.address
        ),
    )
}

/// What pdftoppm draws of a page.
fn drawn(pdf: &[u8], number: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fax.pdf");
    std::fs::write(&file, pdf).unwrap();
    let number = number.to_string();
    let output = Command::new("pdftoppm")
        .args(["-mono", "-rx", "204", "-ry", "196", "-f", &number, "-l", &number])
        .arg(&file)
        .output()
        .expect("pdftoppm (Debian package poppler-utils)");
    output.stdout.splitn(3, |octet| *octet == b'\n').nth(2).expect("a picture").to_vec()
}

#[test]
fn a_fax_that_comes_is_mail_for_who_has_the_number_once_and_dot_by_dot() {
    let hfaxd = Hfaxd::start();
    let pages = [page(2_292, 1), page(1_000, 2)];
    let annas = received(&pages, "4155550123", "2025550101");
    hfaxd.receive("fax000000001.tif", annas.clone());
    hfaxd.receive("fax000000002.tif", received(&pages[..1], "+442079460958", "2025550101"));
    hfaxd.receive("fax000000003.tif", received(&pages[..1], "4155550123", "2025550102"));
    hfaxd.receive("fax000000004.tif", received(&pages[..1], "", ""));
    hfaxd.receive("fax000000005.tif", b"no TIFF at all".to_vec());
    let mut server = clinic(&hfaxd, "", "");

    let ann = server.wait_for_mail("ann@clinic.example", 1).join("");
    for says in [
        "Subject: Fax from +14155550123",
        "Called           +12025550101",
        "Caller's name    The other machine",
        "Pages            2",
        "filename=\"fax000000001.pdf\"",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(ann.contains(says), "{says}: {ann}");
    }
    let pdf = attached(&ann, "application/pdf");
    for (number, page) in pages.iter().enumerate() {
        assert!(drawn(&pdf, number + 1) == page.as_octets(), "page {} differs", number + 1);
    }
    let lab = server.wait_for_mail("lab@clinic.example", 1).join("");
    assert!(lab.contains("the account routes the number so"), "{lab}");
    let desk = server.wait_for_mail("desk@clinic.example", 2).join("");
    assert!(desk.contains("nobody has the number"), "{desk}");
    assert_eq!(attached(&desk, "image/tiff"), b"no TIFF at all");
    assert!(desk.contains("attached as it came"), "{desk}");

    wait_until_quiet(&server);
    // The file is there still, and is nobody's again after a crash.
    server.kill();
    server.restart();
    let looks = hfaxd.count("LIST");
    assert!(wait_for(|| (hfaxd.count("LIST") > looks + 1).then_some(())).is_some());
    for (who, mails) in [("ann", 1), ("lab", 1), ("desk", 2)] {
        assert_eq!(server.maildir(&format!("{who}@clinic.example")).len(), mails, "{who}");
    }
    assert_eq!(hfaxd.count("RETR recvq/fax00000000"), 5);
    assert_eq!(hfaxd.files().len(), 5);
    // The name again, with another fax.
    hfaxd.receive("fax000000001.tif", received(&pages[..1], "4155550124", "2025550101"));
    server.wait_for_mail("ann@clinic.example", 2);

    let evidence = server.ok(&["evidence", "export"]);
    for says in [
        "fax000000002.tif for clinic",
        "from +442079460958 to +12025550101, given to nobody: the caller is on the junk list",
        "given to ann@clinic.example: it is the number of this user; SHA-256",
        "file fax000000001.tif",
    ] {
        assert!(evidence.contains(says), "{says}: {evidence}");
    }
}

#[test]
fn a_file_is_removed_from_its_server_once_it_is_mail_and_not_before() {
    let hfaxd = Hfaxd::start();
    hfaxd.receive("fax000000007.tif", received(&[page(300, 3)], "", "2025550101"));
    let server = clinic(&hfaxd, "delete on", "");
    server.wait_for_mail("ann@clinic.example", 1);
    assert!(wait_for(|| hfaxd.files().is_empty().then_some(())).is_some(), "{}", server.log());
    assert_eq!(hfaxd.count("DELE"), 1);
}

#[test]
fn a_fax_that_comes_goes_on_over_tls_where_it_is_forced_or_not_at_all() {
    let hfaxd = Hfaxd::start();
    let route = "route \"+1 202 555 0103\" nurse@ward.example";
    let lab = Lab::new();
    let identity = lab.identity("mx.ward.example");
    let secure = lab.partner(Script::named("mx.ward.example").certificate(identity));
    let open = lab.partner(Script::named("mx.ward.example"));
    hfaxd.receive("fax000000001.tif", received(&[page(300, 4)], "", "2025550103"));
    for ward in [&secure, &open] {
        let more = format!(
            "mx {{ ward.example {} }}
            delivery {{ loopback on }}
            force-encrypt {{ ward.example }}",
            ward.address()
        );
        let server = clinic(&hfaxd, route, &more);
        let tried = || (ward.counters().connections > 0).then_some(());
        assert!(wait_for(tried).is_some(), "{}", server.log());
        if ward.address() == secure.address() {
            let mail = lab.wait_for(ward, 1).remove(0);
            assert!(mail.tls.is_some() && mail.text().contains("application/pdf"));
            continue;
        }
        // Nobody at the ward can be told, so those are who get what nobody else does.
        let told = server.wait_for_mail("desk@clinic.example", 1).remove(0);
        assert!(told.contains("nurse@ward.example") && told.contains("encrypted"), "{told}");
        assert_eq!(ward.counters().mail, 0, "{:?}", ward.transcript());
    }
}
