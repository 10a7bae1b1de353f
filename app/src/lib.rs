//! Rowferry.
