// Package trial is what a person asks before trusting an export: what would be
// sent, what the receiver makes of it, and which mapping its index needs. It
// works on the same formats, sinks and verdicts as the pipeline.
package trial
