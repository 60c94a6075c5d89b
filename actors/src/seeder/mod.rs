//! The seeder room.
