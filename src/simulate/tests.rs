//! Galaxies measured back from their pixels.

use super::*;
