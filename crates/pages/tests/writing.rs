//! Writing of the world on fax pages: joined, in its direction, in a font that has it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fax::work::{Fields, Request};
use fax::{Cover, Language, Paper, Resolution};
use pages::job::{Drawn, draw};
use pages::letters::Fonts;
use pages::message::Means;
use pages::{Bitmap, Trouble, scan};

/// Debian package `fonts-wqy-microhei`.
const CHINESE_FONT: &str = "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc";

fn request(pages_max: usize) -> Request {
    Request {
        resolution: Resolution::Standard,
        paper: Paper::A4,
        cover: Cover::Never,
        language: Language::En,
        template: None,
        pages_max,
        leaves_out: false,
        names_left_out: false,
        without: Vec::new(),
        recipients: vec![Fields::default()],
    }
}

fn message(kind: &str, text: &str) -> Vec<u8> {
    format!("From: a@example.com\r\nContent-Type: {kind}; charset=utf-8\r\n\r\n{text}").into_bytes()
}

fn with_fonts(named: Vec<Vec<u8>>, message: &[u8]) -> Result<Drawn, Trouble> {
    let fonts = Fonts::load(named).unwrap();
    draw(&request(20), &Means { fonts: &fonts, pdfs: &[], tell: &|_| {} }, message)
}

fn drawn(text: &str) -> Drawn {
    with_fonts(Vec::new(), &message("text/plain", text)).unwrap()
}

/// The first page of the first fax below its header line.
fn page(drawn: &Drawn) -> Bitmap {
    let png = pages::show::page(&drawn.faxes[0].tiff, 1).unwrap();
    let shown = image::load_from_memory(&png).unwrap().into_luma8();
    let mut page = Bitmap::white(shown.height() as usize);
    for (column, row, dot) in shown.enumerate_pixels().filter(|(_, row, _)| *row > 80) {
        if dot.0[0] < 128 {
            page.blacken(column as usize, row as usize);
        }
    }
    page
}

/// The leftmost and the rightmost column with a dot.
fn extent(page: &Bitmap) -> (usize, usize) {
    let columns = 0..pages::bitmap::COLUMNS;
    let has = |column: &usize| (0..page.rows()).any(|row| page.is_black(*column, row));
    (columns.clone().find(has).unwrap(), columns.rev().find(has).unwrap())
}

#[test]
fn hebrew_and_arabic_stand_at_the_right_and_their_lists_and_tables_too() {
    let (left, right) = extent(&page(&drawn("Hello")));
    assert!(left < 200 && right < 400, "{left} to {right}");
    for text in ["שלום עולם", "مرحبا بالعالم", "שלום world", "\u{200f}Hello"]
    {
        let (left, right) = extent(&page(&drawn(text)));
        assert!(left > 1_100 && right > 1_500, "{text}: {left} to {right}");
    }
    let list = "<ul><li>ראשון<li>שני</ul>";
    let table = "<table><tr><td>שם<td>מספר<tr><td>דנה<td>5</table>";
    for html in [list, table] {
        let drawn = with_fonts(Vec::new(), &message("text/html", html)).unwrap();
        let (left, _) = extent(&page(&drawn));
        assert!(left > 1_000, "{html}: from {left}");
    }
}

#[test]
fn a_long_paragraph_of_both_directions_keeps_inside_its_margins() {
    let sentence = "The patient דנה כהן was seen on 12/03 at 10:30 בבית החולים, room 4 (קומה 2). ";
    for text in [sentence.repeat(20), format!("\u{200f}{}", sentence.repeat(20))] {
        let drawn = drawn(&text);
        assert!(drawn.missing.is_empty(), "{}", drawn.missing);
        let (left, right) = extent(&page(&drawn));
        assert!(left >= 155 && right <= 1_572, "{left} to {right}");
        assert!(left < 180 && right > 1_450, "lines are filled: {left} to {right}");
    }
}

#[test]
fn scripts_of_the_bundled_fonts_are_written_without_a_warning() {
    let all =
        "Größe naïve Łódź Ελληνικά Привет Հայերեն ქართული مرحبا שלום e\u{301} “quoted” – € → ✓";
    let drawn = drawn(all);
    assert!(drawn.missing.is_empty(), "{}", drawn.missing);
}

#[test]
fn what_no_font_has_is_a_box_and_a_warning_until_a_font_is_named() {
    let text = message("text/plain", "日本語の文書 中文 for you\u{fe0f}");
    let boxes = with_fonts(Vec::new(), &text).unwrap();
    assert_eq!(boxes.missing.count, 7);
    assert_eq!(boxes.missing.scripts, ["Chinese characters", "Japanese kana"]);
    let told = boxes.missing.to_string();
    assert!(told.starts_with("7 missing glyphs (Chinese characters, Japanese kana): の"), "{told}");

    let font = std::fs::read(CHINESE_FONT).expect("Debian package fonts-wqy-microhei");
    let written = with_fonts(vec![b"no font".to_vec(), font], &text).unwrap();
    assert!(written.missing.is_empty(), "{}", written.missing);
    assert_ne!(page(&boxes), page(&written));
    let unlike = message("text/plain", "文本日の語書 中文 for you");
    assert_ne!(page(&written), page(&with_fonts(Vec::new(), &unlike).unwrap()));
}

/// Writing without blanks goes on to the next line, and not with what closes a sentence.
#[test]
fn chinese_breaks_between_signs_and_fills_its_lines() {
    let font = std::fs::read(CHINESE_FONT).expect("Debian package fonts-wqy-microhei");
    let text = message("text/plain", &"请在星期五以前把文件传真给我们。".repeat(30));
    let written = with_fonts(vec![font], &text).unwrap();
    let (left, right) = extent(&page(&written));
    assert!(left < 180 && (1_500..=1_572).contains(&right), "{left} to {right}");
}

/// Acceptance case 18 of the fax design.
#[test]
fn long_text_of_every_kind_ends_soon_as_pages_or_in_words() {
    let mut mixed = String::from("NUL\0 and \u{7}bell\n");
    while mixed.len() < 2_000_000 {
        let number = mixed.len();
        writeln!(mixed, "{number} שלום مرحبا 日本語 \u{1f600}\u{200d}\u{1f600} {}", "x".repeat(90))
            .unwrap();
    }
    let line = |text: &str, octets: usize| text.repeat(octets / text.len());
    let cases = [
        ("mixed", mixed, true),
        ("one line", line("abcdefghij", 1_000_000), true),
        ("one right-to-left line", line("שלוםעולם", 1_000_000), true),
        ("marks", format!("a{}", line("\u{301}", 1_000_000)), false),
        ("Arabic marks", format!("ب{}", line("\u{64e}\u{651}", 1_000_000)), false),
        ("embeddings", line("\u{202e}a\u{202b}א\u{2067}b", 1_000_000), true),
        ("isolates never closed", line("\u{2067}", 1_000_000), false),
        ("brackets", line("(א[", 1_000_000), true),
        ("joiners", line("ب\u{200d}", 1_000_000), true),
        ("turns", line("aא", 1_000_000), true),
        ("words", line("אב cd ", 1_000_000), true),
    ];
    for (name, text, is_too_long) in cases {
        let started = Instant::now();
        let drawn = with_fonts(Vec::new(), &message("text/plain", &text));
        let took = started.elapsed();
        assert_eq!(drawn == Err(Trouble::TooManyPages { limit: 20 }), is_too_long, "{name}");
        // Unoptimised and on a machine that does other things; it is a tenth of it otherwise.
        assert!(took < Duration::from_secs(60), "{name} took {took:?}");
    }
}

/// Set `WRITING_SHOWN` to a folder to look at pages of many kinds of writing.
#[test]
fn a_page_of_many_kinds_of_writing_is_a_page() {
    let text = include_str!("writing.html");
    let font = std::fs::read(CHINESE_FONT).expect("Debian package fonts-wqy-microhei");
    let fonts = Fonts::load(vec![font]).unwrap();
    let mut request = request(20);
    request.resolution = Resolution::Fine;
    request.cover = Cover::Always;
    request.recipients[0] = Fields {
        to: "ד״ר דנה כהן".into(),
        company: "مستشفى الملك فيصل".into(),
        number: "+97225550100".into(),
        from: "Ann Anderson <ann@clinic.example>".into(),
        organisation: "Clinique Générale  Ελλάς".into(),
        from_number: "+12025550100".into(),
        date: "2026-03-02 10:02 UTC".into(),
        subject: "תוצאות בדיקה (MRI) של דנה – דחוף".into(),
        ..Fields::default()
    };
    let means = Means { fonts: &fonts, pdfs: &[], tell: &|_| {} };
    let drawn = draw(&request, &means, &message("text/html", text)).unwrap();
    assert!(drawn.missing.is_empty(), "{}", drawn.missing);
    let file = &drawn.faxes[0].tiff;
    assert_eq!(scan::read(file).unwrap().pages.len(), drawn.faxes[0].pages);
    if let Some(folder) = std::env::var_os("WRITING_SHOWN") {
        for number in 1..=drawn.faxes[0].pages {
            let png = pages::show::page(file, number).unwrap();
            let path = std::path::Path::new(&folder).join(format!("writing-{number}.png"));
            std::fs::write(path, png).unwrap();
        }
    }
}
