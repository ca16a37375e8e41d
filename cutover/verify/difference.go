package verify

// TargetKey is the key of the row on the target, in the form of change.AppendKey.
func (d Difference) TargetKey() []byte { return d.key }
