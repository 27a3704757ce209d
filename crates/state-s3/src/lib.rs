//! The log on S3: nothing yet.
