//! Faxes through the real HylaFAX of the distribution, with a modem that is a program.
//!
//! Needs root and a machine whose HylaFAX nobody uses, because there is one spool and one
//! configuration, and this test writes both. `cargo xtask check` runs it, after the others.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use fax::Resolution;
use pages::bitmap::Bitmap;
use pages::coding::Coding;
use pages::tiff_f::{Profile, write};
use serde_json::Value;
use support::{Server, shown, wait_for};

const SETTINGS: &str = "/etc/hylafax";
const SPOOL: &str = "/var/spool/hylafax";
/// The slowest of the calls takes half a minute.
const PATIENCE: Duration = Duration::from_secs(150);
const PASSWORD: &str = "a word for hfaxd";

/// The packages these programs are in are named in xtask/src/peers.rs.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", shown(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// HylaFAX at work, its line, and what came out at the other end.
struct Line {
    children: Vec<Child>,
    folder: tempfile::TempDir,
}

impl Line {
    /// With `answers` a program takes calls; without it the line is for calling alone.
    fn start(answers: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hylafax/line.c");
        let libraries = ["-lspandsp", "-ltiff", "-lutil", "-lm"];
        run("gcc", &[&["-O1", "-o", &at("line"), source][..], &libraries].concat());
        let modem = fs::read_to_string(format!("{SPOOL}/config/iaxmodem"))
            .expect("the modem template of hylafax-server");
        let own = "CountryCode: 1\nAreaCode: 555\nFAXNumber: +1.555.555.0199\nLogFileMode: 0644\n\
                   RecvFileMode: 0644\nRingsBeforeAnswer: 1\n";
        // As if no number had ever been called: what HylaFAX knows of one, it sends otherwise.
        for known in fs::read_dir(format!("{SPOOL}/info")).unwrap().flatten() {
            fs::remove_file(known.path()).unwrap();
        }
        fs::write(format!("{SETTINGS}/config.ttyFAX0"), modem + own).unwrap();
        fs::write(
            format!("{SETTINGS}/config"),
            "LogFacility: daemon\nCountryCode: 1\nAreaCode: 555\nLongDistancePrefix: 1\n\
             InternationalPrefix: 011\nDialStringRules: etc/dialrules\nUse2D: yes\n",
        )
        .unwrap();
        let secret = run("openssl", &["passwd", "-6", PASSWORD]);
        let hosts = format!("{SETTINGS}/hosts.hfaxd");
        fs::write(&hosts, format!("^mailkeep@:21:{0}:{0}\n", secret.trim())).unwrap();
        run("chmod", &["600", &hosts]);
        run("chown", &["-R", "uucp:uucp", SETTINGS]);
        let etc = format!("{SPOOL}/etc");
        let is_mounted = Command::new("mountpoint").args(["-q", &etc]).status();
        if !is_mounted.expect("mountpoint").success() {
            run("mount", &["-o", "bind", SETTINGS, &etc]);
        }
        fs::create_dir(at("received")).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        // The package may have started it.
        for program in ["hfaxd", "faxq"] {
            Command::new("pkill").args(["-x", program]).status().expect("pkill");
        }
        let start = |program: &str, arguments: &[&str]| {
            Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log.try_clone().unwrap())
                .spawn()
                .unwrap_or_else(|error| panic!("{program}: {error}"))
        };
        let line = start(&at("line"), &["/dev/ttyFAX0", &at("received"), "4"]);
        let terminal = Path::new("/dev/ttyFAX0");
        assert!(support::wait_for(|| terminal.exists().then_some(())).is_some());
        let queue = start("/usr/sbin/faxq", &["-D"]);
        let door = start("/usr/sbin/hfaxd", &["-d", "-l", "127.0.0.1", "-i", "4559"]);
        let mut children = vec![line, queue, door];
        let open = || std::net::TcpStream::connect("127.0.0.1:4559").ok();
        assert!(support::wait_for(open).is_some(), "hfaxd does not answer");
        if answers {
            // One that belongs to root cannot be written by who answers.
            let status = format!("{SPOOL}/status/ttyFAX0");
            let _absent = fs::remove_file(&status);
            children.push(start("/usr/sbin/faxgetty", &["ttyFAX0"]));
            let is_idle = || fs::read_to_string(&status).is_ok_and(|text| text.contains("idle"));
            let until = Instant::now() + PATIENCE;
            while !is_idle() {
                assert!(Instant::now() < until, "the modem is not ready");
                std::thread::sleep(Duration::from_millis(200));
            }
        } else {
            run("/usr/sbin/faxmodem", &["ttyFAX0"]);
        }
        Self { children, folder }
    }

    /// The pages that the fax machine at the other end has written.
    fn received(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("received")).unwrap().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// There is one line.
static ALONE: Mutex<()> = Mutex::new(());

fn clinic(inbound: &str) -> Server {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), PASSWORD).unwrap();
    Server::start_in(
        folder,
        &"hostname mx.clinic.example
        data @DIR@/data
        control @DIR@/control
        listener mx { port 0; address 127.0.0.1; tls off }
        domain clinic.example { deliver-to maildir @DIR@/maildir }
        credentials line { user mailkeep; password file:@DIR@/secret }
        fax clinic {
            domains fax.clinic.example
            organisation \"Clinic of Example\"
            main-number \"+1 202 555 0199\"
            country US
            user ann@clinic.example { number \"+1 202 555 0101\" }
            mail-server-white-list 127.0.0.1
            transport hylafax 127.0.0.1 credentials line
            @INBOUND@
        }
        queue { retry 1s }
        "
        .replace("@INBOUND@", inbound),
    )
}

fn fax_to(server: &Server, number: &str, words: &str) {
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    let content = format!(
        "From: Ann <ann@clinic.example>\nSubject: Result\nMessage-ID: <x@clinic.example>\n\n{words}\n"
    );
    let to = format!("{number}@fax.clinic.example");
    let reply = client.message("ann@clinic.example", &[&to], &content);
    assert!(reply.starts_with("250"), "{reply}");
}

fn wait_for_state(server: &Server, line: &Line, number: &str, wanted: &[&str]) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer: Value = serde_json::from_str(&server.ok(&["fax", "jobs", "--json"])).unwrap();
        let faxes = answer["faxes"].as_array().cloned().unwrap_or_default();
        let fax = faxes.into_iter().find(|fax| fax["number"] == number);
        if let Some(fax) = &fax
            && wanted.contains(&fax["state"].as_str().unwrap_or_default())
        {
            return fax.clone();
        }
        assert!(
            Instant::now() < until,
            "{number} is not {wanted:?}: {fax:?}\n{}\n{}",
            line.log(),
            server.log()
        );
        // Without a program that answers calls nobody tells the queue that the line is free again.
        run("/usr/sbin/faxmodem", &["ttyFAX0"]);
        std::thread::sleep(Duration::from_secs(3));
    }
}

/// The rows of a page, counted from 0, as bits without compression.
fn rows(file: &Path, page: u64) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.tif");
    let source = format!("{},{page}", file.display());
    run(
        "tiffcp",
        &["-c", "none", "-f", "msb2lsb", "-r", "100000", &source, plain.to_str().unwrap()],
    );
    let raw = fs::read(plain).unwrap();
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([raw[at], raw[at + 1]]));
    let u32_at = |at: usize| u16_at(at) + (u16_at(at + 2) << 16);
    let directory = u32_at(4);
    let value = |tag: usize| {
        let places = (0..u16_at(directory)).map(|n| directory + 2 + n * 12);
        places.clone().find(|at| u16_at(*at) == tag).map(|at| u32_at(at + 8)).unwrap()
    };
    raw[value(273)..value(273) + value(279)].to_vec()
}

#[test]
#[ignore = "takes over the machine's HylaFAX: cargo xtask check"]
fn a_mail_is_the_same_page_dot_by_dot_behind_hylafax_and_other_lines_are_told_apart() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let line = Line::start(false);
    let server = clinic("");

    let words: String = (0..150).map(|n| format!("The result {} is good.\n", n * n)).collect();
    fax_to(&server, "2025550100", &words);
    let sent = wait_for_state(&server, &line, "+12025550100", &["sent"]);
    // Several, because where a page ends within an octet is chance.
    let pages = sent["pages"].as_u64().unwrap();
    assert!(pages > 2 && sent["confirmed"] == pages, "{sent}");
    let file = server.dir().join(format!("data/fax/{}.tif", sent["id"].as_str().unwrap()));
    let received = line.received();
    for page in 0..pages {
        let ours = rows(&file, page);
        let theirs = rows(received.first().expect("the other machine wrote nothing"), page);
        assert_eq!(ours.len() / 216, 2292);
        let came = theirs.len() / 216;
        assert!(ours == theirs, "of page {page} 2292 rows were sent and {came} came");
    }

    fax_to(&server, "2025550101", "The result is good.");
    let busy = wait_for_state(&server, &line, "+12025550101", &["waiting", "failed"]);
    assert_eq!(busy["counters"]["busy"], 1, "{busy}");
    fax_to(&server, "2025550103", "The result is good.");
    let voice = wait_for_state(&server, &line, "+12025550103", &["waiting", "failed"]);
    assert_eq!(voice["counters"]["no_carrier"], 1, "{voice}");
    fax_to(&server, "2025550102", "The result is good.");
    let silent = wait_for_state(&server, &line, "+12025550102", &["dialling", "waiting"]);
    if silent["state"] == "dialling" {
        server.ok(&["fax", "cancel", silent["id"].as_str().unwrap()]);
        wait_for_state(&server, &line, "+12025550102", &["cancelled"]);
    } else {
        assert_eq!(silent["counters"]["no_answer"], 1, "{silent}");
    }
}

/// How many pages a file has.
fn pages_in(file: &Path) -> u64 {
    let info = run("tiffinfo", &[file.to_str().unwrap()]);
    info.matches("TIFF Directory").count() as u64
}

#[test]
#[ignore = "takes over the machine's HylaFAX: cargo xtask check"]
fn after_a_call_that_broke_in_a_page_the_next_one_sends_what_was_not_confirmed_and_no_more() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let line = Line::start(false);
    let server = clinic("");
    let words: String = (0..210).map(|n| format!("The result {} is good.\n", n * n)).collect();
    fax_to(&server, "2025550104", &words);
    let broken = wait_for_state(&server, &line, "+12025550104", &["waiting", "failed"]);
    let pages = broken["pages"].as_u64().unwrap();
    assert!(pages > 3, "{broken}");
    assert_eq!(broken["counters"]["interrupted"], 1, "{broken}\n{}", line.log());
    assert_eq!(broken["confirmed"], 2, "{broken}\n{}", line.log());

    server.ok(&["fax", "resend", broken["id"].as_str().unwrap()]);
    let sent = wait_for_state(&server, &line, "+12025550104", &["sent", "failed"]);
    assert_eq!((&sent["state"], &sent["confirmed"]), (&"sent".into(), &pages.into()), "{sent}");
    assert_eq!(sent["counters"]["dials"], 2, "HylaFAX repeats nothing by itself: {sent}");
    let received = line.received();
    let [first, second] = received.as_slice() else { panic!("{received:?}\n{}", line.log()) };
    // Of the third page the first call has brought a piece at the most.
    assert!((2..=3).contains(&pages_in(first)), "{}", pages_in(first));
    assert_eq!(pages_in(second), pages - 2, "nothing twice");
    let file = server.dir().join(format!("data/fax/{}.tif", sent["id"].as_str().unwrap()));
    for page in 0..pages {
        let theirs = if page < 2 { rows(first, page) } else { rows(second, page - 2) };
        assert!(rows(&file, page) == theirs, "page {page} is another");
    }
}

#[test]
#[ignore = "takes over the machine's HylaFAX: cargo xtask check"]
fn a_fax_that_the_real_hylafax_has_received_is_mail_with_its_pages_dot_by_dot() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let line = Line::start(true);
    for old in fs::read_dir(format!("{SPOOL}/recvq")).unwrap().flatten() {
        if old.path().extension().is_some_and(|kind| kind == "tif") {
            fs::remove_file(old.path()).unwrap();
        }
    }
    let inbound = "inbound { from hylafax 127.0.0.1 credentials line; every 1s
                   catch-all desk@clinic.example; delete on }";
    let server = clinic(inbound);
    let mut page = Bitmap::white(2_200);
    for row in 0..page.rows() {
        page.fill((row * 13) % 1_600, row, 5 + row % 40, 1);
    }
    let pages = [page];
    let folder = line.folder.path().join("received");
    let file = write(&pages, Resolution::Fine, Profile::Extended(Coding::Mmr));
    fs::write(folder.join("call.tif"), file).unwrap();
    fs::write(folder.join("call"), "+12025550101 +442079460958\n").unwrap();
    let until = Instant::now() + PATIENCE;
    while server.maildir("ann@clinic.example").is_empty() {
        assert!(Instant::now() < until, "nothing came\n{}\n{}", line.log(), server.log());
        std::thread::sleep(Duration::from_millis(500));
    }
    let mail = server.maildir("ann@clinic.example").join("").replace("\r\n", "\n");
    for says in ["Subject: Fax from +442079460958", "Caller's name    +1 555 0100"] {
        assert!(mail.contains(says), "{says}: {mail}");
    }
    let (_, part) = mail.split_once("Content-Type: application/pdf").expect("a PDF");
    let (_, body) = part.split_once("\n\n").unwrap();
    let coded: String = body.lines().take_while(|line| !line.starts_with("--")).collect();
    let pdf = line.folder.path().join("fax.pdf");
    fs::write(&pdf, base64::prelude::BASE64_STANDARD.decode(coded).unwrap()).unwrap();
    let output = Command::new("pdftoppm")
        .args(["-mono", "-rx", "204", "-ry", "196"])
        .arg(&pdf)
        .output()
        .expect("pdftoppm");
    let dots = output.stdout.splitn(3, |octet| *octet == b'\n').nth(2).expect("a picture");
    assert!(dots == pages[0].as_octets(), "{} and {} octets", dots.len(), 2_200 * 216);
    // What is mail here is no file there.
    let is_gone = || {
        let files = fs::read_dir(format!("{SPOOL}/recvq")).unwrap().flatten();
        let mut kinds = files.map(|file| file.path().extension().is_some_and(|k| k == "tif"));
        (!kinds.any(|is_fax| is_fax)).then_some(())
    };
    assert!(wait_for(is_gone).is_some(), "{}", server.log());
}
