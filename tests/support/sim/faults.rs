//! Every call of a workload fails once, in each way that it can.
