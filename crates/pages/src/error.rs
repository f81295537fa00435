//! Why something cannot become pages.

use fax::left_out::{Kind, LeftOut, Why};

use crate::office::OfficeFile;

/// Why a document cannot become pages. [`std::fmt::Display`] is for its sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// More pages than are allowed.
    #[error("it has more than {limit} pages")]
    TooManyPages {
        /// How many are.
        limit: usize,
    },
    /// There is nothing to fax.
    #[error("there is nothing to fax: no text and no attachment")]
    Nothing,
    /// A type that does not become pages here.
    #[error("\"{name}\" is {kind}, which cannot be faxed")]
    Unsupported {
        /// The attachment.
        name: String,
        /// What it is.
        kind: Kind,
    },
    /// A document with a password.
    #[error("\"{name}\" is protected by a password")]
    Password {
        /// The attachment.
        name: String,
    },
    /// A document that is broken.
    #[error("\"{name}\" cannot be read: {why}")]
    Broken {
        /// The attachment.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A picture with more dots than are looked at.
    #[error("\"{name}\" is larger than {limit} by {limit} dots")]
    TooLarge {
        /// The attachment.
        name: String,
        /// The limit in both directions.
        limit: u32,
    },
    /// A page longer than is allowed.
    #[error("\"{name}\" has a page that is too long or too thin to fax")]
    Shape {
        /// The attachment.
        name: String,
    },
    /// Office files that must become PDF first, by a program that is not here.
    #[error("office files have to become PDF first")]
    Office(Vec<OfficeFile>),
    /// Nothing is left of the message; one of the attachments it would be without.
    #[error("{0}")]
    LeftOut(LeftOut),
    /// The message itself cannot be read.
    #[error("the message cannot be read")]
    Message,
    /// A template of a cover page is wrong.
    #[error(transparent)]
    Template(#[from] fax::template::TemplateError),
    /// The fonts of the program are broken.
    #[error("the program's fonts cannot be read")]
    Fonts,
}

impl Trouble {
    /// The attachment that it is about, if the rest of the message is sound.
    pub fn about_attachment(&self, name: &str) -> Option<LeftOut> {
        let why = match self {
            Self::TooManyPages { limit } => Why::TooManyPages { limit: *limit },
            Self::Unsupported { kind, .. } => Why::Type { kind: kind.clone() },
            Self::Password { .. } => Why::Password,
            Self::Broken { .. } => Why::Broken,
            Self::TooLarge { limit, .. } => Why::TooLarge { dots: *limit },
            Self::Shape { .. } => Why::Shape,
            Self::LeftOut(left_out) => left_out.why.clone(),
            Self::Nothing | Self::Office(_) | Self::Message | Self::Template(_) | Self::Fonts => {
                return None;
            }
        };
        Some(LeftOut { name: name.to_owned(), why })
    }
}
