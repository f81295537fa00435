//! Which passwords may be chosen, and how long they hold.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use mail::Timestamp;

use super::{PASSWORD_MIN_CHARS, Password};

/// Old hashes that are remembered at most.
pub const HISTORY_MAX: u32 = 24;

/// What a new password must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The fewest characters.
    pub length_min: usize,
    /// A sorted list of SHA-1 hashes of passwords known from breaches.
    pub breached: Option<PathBuf>,
    /// How many passwords back none may come again.
    pub history: usize,
    /// How long a password holds.
    pub expires_after: Option<Duration>,
}

impl Default for Policy {
    /// Twelve characters and the built-in list, as NIST SP 800-63B would have it: no forced
    /// change, no kinds of characters.
    fn default() -> Self {
        Self { length_min: PASSWORD_MIN_CHARS, breached: None, history: 0, expires_after: None }
    }
}

impl Policy {
    /// Whether a password of `changed` has expired at `now`.
    pub fn has_expired(
        &self,
        changed: Option<Timestamp>,
        created: Timestamp,
        now: Timestamp,
    ) -> bool {
        let since = changed.unwrap_or(created);
        self.expires_after.is_some_and(|limit| now.since(since) >= limit)
    }

    /// Whether `password` is known from breaches. Reads the list: not for an async thread.
    ///
    /// # Errors
    ///
    /// The list cannot be read.
    pub fn is_breached(&self, password: &Password) -> io::Result<bool> {
        let Ok(text) = std::str::from_utf8(password.as_bytes()) else { return Ok(false) };
        let lower = text.to_lowercase();
        if BUILT_IN.contains(&lower.as_str()) || repeats(&lower) {
            return Ok(true);
        }
        match &self.breached {
            Some(path) => listed(path, password.as_bytes()),
            None => Ok(false),
        }
    }
}

/// Whether the text is one or two characters again and again, or one of the built-in list
/// twice or more.
fn repeats(lower: &str) -> bool {
    let chars: Vec<char> = lower.chars().collect();
    let again = |length: usize| chars.iter().zip(chars.iter().skip(length)).all(|(a, b)| a == b);
    (1..=2).any(again)
        || BUILT_IN
            .iter()
            .any(|known| lower.len() > known.len() && lower.replace(known, "").is_empty())
}

/// Looks for the SHA-1 of `password` in a file of sorted lines, as those of "Have I Been
/// Pwned" are: forty hexadecimal digits, and whatever follows a colon.
fn listed(path: &Path, password: &[u8]) -> io::Result<bool> {
    let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password);
    let wanted = crate::sasl::md5::hex(sha1.as_ref()).to_ascii_uppercase();
    let mut file = File::open(path)?;
    let (mut low, mut high) = (0_u64, file.metadata()?.len());
    // Each step halves what is left; the last few lines are read one after the other.
    for _ in 0..STEPS_MAX {
        if low >= high {
            return Ok(false);
        }
        let middle = low + (high - low) / 2;
        let (begin, line) = line_at(&mut file, middle, low)?;
        let Some(hash) = line.get(..wanted.len()) else { return Err(malformed(begin)) };
        match hash.to_ascii_uppercase().as_bytes().cmp(wanted.as_bytes()) {
            std::cmp::Ordering::Equal => return Ok(true),
            std::cmp::Ordering::Less => low = begin + line.len() as u64 + 1,
            std::cmp::Ordering::Greater => high = begin,
        }
    }
    Ok(false)
}

/// The line around `at`, and where it begins, which is not before `low`.
fn line_at(file: &mut File, at: u64, low: u64) -> io::Result<(u64, String)> {
    let start = at.saturating_sub(LINE_MAX_OCTETS).max(low);
    let mut window = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(at - start + LINE_MAX_OCTETS).read_to_end(&mut window)?;
    let before = usize::try_from(at - start).unwrap_or(0).min(window.len());
    let begin = window[..before].iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
    let end = window[begin..].iter().position(|octet| *octet == b'\n');
    let line = &window[begin..end.map_or(window.len(), |length| begin + length)];
    let text = std::str::from_utf8(line).map_err(|_| malformed(start))?;
    Ok((start + begin as u64, text.to_owned()))
}

fn malformed(at: u64) -> io::Error {
    let text = format!("no line of a SHA-1 in hexadecimal digits at octet {at}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Octets of a line of the list.
const LINE_MAX_OCTETS: u64 = 128;
/// Halvings of a file of 2^64 octets.
const STEPS_MAX: u32 = 64;

/// What people choose who are asked for many characters, in small letters. A list of breached
/// passwords has far more.
const BUILT_IN: &[&str] = &[
    "123123123123",
    "1234567890",
    "123456789012",
    "1234567890123",
    "12345678901234567890",
    "0123456789",
    "012345678901",
    "0987654321",
    "098765432109",
    "111111111111",
    "121212121212",
    "1q2w3e4r",
    "1q2w3e4r5t6y",
    "1q2w3e4r5t6y7u8i",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "abc123abc123",
    "abcd1234abcd",
    "abcdefghijkl",
    "abcdefghijklm",
    "abcdefghijklmnopqrstuvwxyz",
    "administrator",
    "administrator1",
    "asdfghjkl",
    "asdfghjkl123",
    "asdfghjklqwe",
    "changeme",
    "changeme1234",
    "changemenow!",
    "charliecharlie",
    "footballfootball",
    "iloveyou",
    "iloveyou1234",
    "iloveyouforever",
    "letmein",
    "letmein12345",
    "letmeinplease",
    "mypassword123",
    "mysecretpassword",
    "newpassword1",
    "p@ssw0rd",
    "p@ssw0rd1234",
    "passw0rd1234",
    "password",
    "password!123",
    "password1",
    "password1234",
    "password12345",
    "password123456",
    "password2024",
    "password2025",
    "password2026",
    "passwordpassword",
    "princessprincess",
    "q1w2e3r4t5y6",
    "qazwsxedcrfv",
    "qwerty",
    "qwerty123456",
    "qwerty1234567",
    "qwertyqwerty",
    "qwertyuiop",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiopas",
    "qwertyuiopasdfghjkl",
    "qwertzuiopas",
    "sunshine1234",
    "superman1234",
    "thisisapassword",
    "trustno1trustno1",
    "welcome",
    "welcome12345",
    "welcome123456",
    "winter2025!!",
    "summer2025!!",
    "zaq12wsxcde3",
    "zxcvbnm",
    "zxcvbnm12345",
    "zxcvbnmasdfg",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn password(text: &str) -> Password {
        Password::prepare(text).unwrap()
    }

    #[test]
    fn what_everybody_chooses_is_known() {
        let policy = Policy::default();
        for weak in ["Password1234", "aaaaaaaaaaaa", "abababababab", "qwertyqwertyqwerty"] {
            assert!(policy.is_breached(&password(weak)).unwrap(), "{weak}");
        }
        for fine in ["open sesame, please", "tr0ub4dor&3 and more"] {
            assert!(!policy.is_breached(&password(fine)).unwrap(), "{fine}");
        }
    }

    #[test]
    fn a_sorted_list_is_searched_and_every_line_of_it_is_found() {
        let breached: Vec<String> = (0..1_000).map(|n| format!("breached {n}")).collect();
        let mut lines: Vec<String> = breached
            .iter()
            .enumerate()
            .map(|(n, text)| {
                let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
                format!("{}:{n}", crate::sasl::md5::hex(sha1.as_ref()).to_uppercase())
            })
            .collect();
        lines.sort();
        for end in ["", "\n"] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            write!(file, "{}{end}", lines.join("\n")).unwrap();
            let breached_list = Some(file.path().to_owned());
            let policy = Policy { breached: breached_list, ..Policy::default() };
            for text in &breached {
                assert!(policy.is_breached(&password(text)).unwrap(), "{text}");
            }
            for n in 0..1_000 {
                assert!(!policy.is_breached(&password(&format!("unknown {n}"))).unwrap());
            }
        }
    }

    #[test]
    fn a_list_that_is_none_is_an_error_and_not_a_no() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "password\nletmein\n").unwrap();
        let policy = Policy { breached: Some(file.path().to_owned()), ..Policy::default() };
        assert!(policy.is_breached(&password("open sesame, please")).is_err());
        let missing = Policy { breached: Some("/nonexistent".into()), ..Policy::default() };
        assert!(missing.is_breached(&password("open sesame, please")).is_err());
    }

    #[test]
    fn a_password_expires_after_its_time() {
        let now = Timestamp(1_780_000_000_000);
        let day = Duration::from_secs(86_400);
        let policy = Policy { expires_after: Some(day), ..Policy::default() };
        assert!(!policy.has_expired(Some(now), now, now));
        assert!(policy.has_expired(Some(now), now, now.plus(day)));
        assert!(policy.has_expired(None, now, now.plus(day)), "made before there was a policy");
        assert!(!Policy::default().has_expired(Some(now), now, now.plus(day * 1_000)));
    }
}
