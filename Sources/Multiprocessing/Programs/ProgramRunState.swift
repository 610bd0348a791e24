/// One run of a program as `ProgramState` knows it.
struct ProgramRunState: Equatable {
  /// Where it is in its life. Moves only forward.
  enum Phase: Int {
    /// Asked for.
    case starting
    /// Its process runs.
    case running
    /// Its process is gone; the ends of its pipes are waited for.
    case draining
  }

  /// Which signal was sent to its group. Moves only forward.
  enum Ladder: Int {
    case none
    /// SIGTERM.
    case terminated
    /// SIGKILL.
    case killed
  }

  let call: UInt64
  let assignedAt: UInt64
  var phase = Phase.starting
  var ladder = Ladder.none
  /// 0 until it runs.
  var process: Int32 = 0
  /// How many of its stdout and stderr have not ended.
  var openPipes = 2
  /// When the next step of the ladder, or the end of draining, is due; nil: never.
  var deadline: UInt64?
  var verdict = ProgramVerdict()

  init(call: UInt64, assignedAt: UInt64) {
    self.call = call
    self.assignedAt = assignedAt
  }
}

/// What there is to say of a run that is over, apart from what it wrote.
struct ProgramVerdict: Equatable {
  var status = ExitStatus.unknown
  var startFailure: StartFailure?
  var isOutputTooLong = false
  var isEndedByPool = false
  var isCutOff = false
  var use = ResourceUse()
}

/// What the pool's owner is to do, in this order.
enum ProgramAction: Equatable {
  /// Send SIGTERM to the group of the slot's program.
  case terminate(slot: Int)
  /// Send SIGKILL to the group of the slot's program.
  case kill(slot: Int)
  /// Tell the driver.
  case report(ProgramReport)
  /// The slot's call did not run: drop what was made for it, and tell the driver.
  case giveBack(slot: Int, call: UInt64, StartFailure)
  /// The slot's call is over: close what is open, and tell the driver.
  case conclude(slot: Int, call: UInt64, ProgramVerdict)
}
