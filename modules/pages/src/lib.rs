//! What Semper's pages in a browser are made of: texts in two languages, dates and money as the reader writes them, names that others chose
//! shown so that they cannot deceive, the frame around a page, and the doors before it. Nothing here listens: who has a page serves it.
//!
//! ```
//! use semper_pages::Language;
//!
//! assert_eq!(Language::German.money("12.00 EUR"), "12,00\u{a0}EUR");
//! assert_eq!(Language::English.text("deals"), "Deals");
//! ```
//!
//! - [`Language`]: the languages, their texts (`texts/*.ftl`, Project Fluent) and their ways to write dates and amounts (Unicode CLDR);
//! - [`names`]: what other people are called, and what gives cause for suspicion about it (UTS 39);
//! - [`frame`]: the page around the content, its style and its one script;
//! - [`doors`]: who may look: links that open once, sessions, and what is refused;
//! - [`words`]: hashes as words that people compare;
//! - [`Reader`]: who reads a page, in which language.

pub mod doors;
pub mod frame;
mod language;
pub mod names;
mod reader;
pub mod words;

pub use language::{Args, Language};
pub use reader::{Reader, document};
