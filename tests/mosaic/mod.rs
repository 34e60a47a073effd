//! Cutouts from mosaics: against astropy and reproject, and through the program.

mod cutouts;
mod line;
mod simulated;
