//! Cutouts from mosaics: against astropy and reproject, and through the program.

mod cutouts;
mod killed;
mod line;
mod masks;
mod page;
mod simulated;
