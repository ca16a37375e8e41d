// Package guard says what a guard of the configuration decides: whether its condition has held for long enough, and what then follows before the decision,
// during an attempt and in the soak. It measures nothing but the share of probes that an application does not answer well; whoever runs the migration samples
// the rest, and acts.
package guard
