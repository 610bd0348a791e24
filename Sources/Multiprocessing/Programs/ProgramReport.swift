/// What a pool of programs tells whoever assigns calls to it. Of one call `began` comes first, if
/// its program ran at all, and `ended` or `notStarted` last.
public enum ProgramReport: Equatable, Sendable {
  /// From now on at most `credit` calls, 1 or 0, may be in flight in `slot`; 0: none may be
  /// assigned. Sent whenever that number changes, not with each call.
  case slotReady(slot: Int, credit: Int)
  /// The call's program runs, as this process.
  case began(call: UInt64, process: Int32)
  /// The program wrote to its stderr since the log was last told to have grown.
  case logGrew(call: UInt64)
  /// The call is over, and its working folder is gone or about to go.
  case ended(call: UInt64, ProgramEnd)
  /// No line of the program has run and nothing is wrong with the call: the machine is short of
  /// processes, memory, descriptors or room on the disk, or there is no fork server at the moment.
  /// It may be assigned again; the slots' credit, told before, says when.
  case notStarted(call: UInt64, StartFailure)
  /// The last program of a pool that was closed or terminated is gone.
  case poolEnded
}
