//! Why something cannot become pages.

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
        kind: String,
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
