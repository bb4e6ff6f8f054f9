package conformance

// LoadCases reads cases from another file system.
var LoadCases = load
