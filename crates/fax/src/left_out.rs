//! Attachments that a fax goes without, where its account wants that.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::options::Language;

/// An attachment that a fax goes without. [`fmt::Display`] is for its sender, in English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What its sender calls it; empty where nothing of the content is told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Why.
    #[serde(flatten)]
    pub why: Why,
}

/// Why an attachment cannot become pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Why {
    /// It is of a type that does not become pages.
    Type {
        /// What it is.
        kind: Kind,
    },
    /// It has a password.
    Password,
    /// It is damaged, or not what it is called.
    Broken,
    /// It is a picture with more dots than are looked at.
    TooLarge {
        /// The limit in both directions.
        dots: u32,
    },
    /// It has a page that is too long or too thin.
    Shape,
    /// The fax would have more pages than are allowed.
    TooManyPages {
        /// How many are allowed.
        limit: usize,
    },
    /// It is an office file, and no PDF came of it.
    NotConverted,
    /// It takes more time or memory than there is for it.
    TooComplex,
}

/// What an attachment is that does not become pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `winmail.dat` (MS-OXTNEF).
    Outlook,
    /// Something to run.
    Program,
    /// Sound or film.
    Recording,
    /// Files in a file.
    Archive,
    /// A message in the message.
    Message,
    /// A TIFF with colours that nobody knows.
    Tiff,
    /// Another, by its media type.
    Other(String),
}

impl LeftOut {
    /// What the fax says of it.
    pub fn in_words(&self, language: Language) -> String {
        let why = self.why.in_words(language);
        match (self.name.as_str(), language) {
            ("", Language::En) => format!("an attachment {why}"),
            ("", Language::Fr) => format!("une pièce jointe {why}"),
            (name, Language::En) => format!("\"{name}\" {why}"),
            (name, Language::Fr) => format!("« {name} » {why}"),
        }
    }

    /// What stands above those of a fax.
    pub const fn headline(language: Language) -> &'static str {
        match language {
            Language::En => "Not in this fax:",
            Language::Fr => "Absent de cette télécopie :",
        }
    }
}

impl Why {
    fn in_words(&self, language: Language) -> String {
        match language {
            Language::En => match self {
                Self::Type { kind } => {
                    format!("is {}, which cannot be faxed", kind.in_words(language))
                }
                Self::Password => "is protected by a password".to_owned(),
                Self::Broken => "is damaged or not what its name says".to_owned(),
                Self::TooLarge { dots } => format!("is larger than {dots} by {dots} dots"),
                Self::Shape => "has a page that is too long or too thin to fax".to_owned(),
                Self::TooManyPages { limit } => {
                    format!("would bring the fax to more than {limit} pages")
                }
                Self::NotConverted => "is an office file that could not be made a PDF".to_owned(),
                Self::TooComplex => "is too complex to draw".to_owned(),
            },
            Language::Fr => match self {
                Self::Type { kind } => {
                    format!("est {}, impossible à télécopier", kind.in_words(language))
                }
                Self::Password => "est protégé par un mot de passe".to_owned(),
                Self::Broken => "est endommagé ou n'est pas ce que dit son nom".to_owned(),
                Self::TooLarge { dots } => format!("dépasse {dots} points sur {dots}"),
                Self::Shape => "a une page trop longue ou trop étroite".to_owned(),
                Self::TooManyPages { limit } => {
                    format!("porterait la télécopie à plus de {limit} pages")
                }
                Self::NotConverted => {
                    "est un document bureautique qui n'a pas pu être converti en PDF".to_owned()
                }
                Self::TooComplex => "est trop complexe à dessiner".to_owned(),
            },
        }
    }
}

impl Kind {
    /// What it is, with its article.
    fn in_words(&self, language: Language) -> String {
        let words = match (self, language) {
            (Self::Outlook, Language::En) => "a container of Outlook",
            (Self::Outlook, Language::Fr) => "un conteneur d'Outlook",
            (Self::Program, Language::En) => "a program",
            (Self::Program, Language::Fr) => "un programme",
            (Self::Recording, Language::En) => "sound or film",
            (Self::Recording, Language::Fr) => "un son ou un film",
            (Self::Archive, Language::En) => "an archive",
            (Self::Archive, Language::Fr) => "une archive",
            (Self::Message, Language::En) => "a message",
            (Self::Message, Language::Fr) => "un message",
            (Self::Tiff, Language::En) => "a TIFF of unknown colours",
            (Self::Tiff, Language::Fr) => "un TIFF aux couleurs inconnues",
            (Self::Other(kind), Language::En) => return format!("of the type {kind}"),
            (Self::Other(kind), Language::Fr) => return format!("du type {kind}"),
        };
        words.to_owned()
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(Language::En))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(Language::En))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_that_is_left_out_is_named_with_its_reason_in_two_languages() {
        let program = LeftOut { name: "setup.exe".into(), why: Why::Type { kind: Kind::Program } };
        assert_eq!(program.to_string(), "\"setup.exe\" is a program, which cannot be faxed");
        let french = program.in_words(Language::Fr);
        assert_eq!(french, "« setup.exe » est un programme, impossible à télécopier");
        let private = LeftOut { name: String::new(), why: Why::Password };
        assert_eq!(private.to_string(), "an attachment is protected by a password");
        for left_out in [program, private] {
            let kept = serde_json::to_string(&left_out).unwrap();
            assert_eq!(serde_json::from_str::<LeftOut>(&kept).unwrap(), left_out, "{kept}");
        }
    }
}
