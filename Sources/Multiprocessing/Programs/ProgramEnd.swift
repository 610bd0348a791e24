/// How one run of a program ended, and what it left.
public struct ProgramEnd: Equatable, Sendable {
  /// How its process ended; `unknown` if it never ran (`startFailure` says why) or if it went with
  /// the fork server and nobody could learn how.
  public var status: ExitStatus
  /// Why the program could not be run, if that is not going to change by itself: there is none of
  /// that name (ENOENT), it may not be run (EACCES), its arguments are too long (E2BIG, EMSGSIZE).
  public var startFailure: StartFailure?
  /// Whether it wrote more than `outputBytesMax` to stdout, and was killed for it.
  public var isOutputTooLong: Bool
  /// Whether the pool was asked to end it and sent it a signal. It may still have ended by itself.
  public var isEndedByPool: Bool
  /// Whether something still held its stdout or stderr open when the pool stopped waiting for it,
  /// so that output may be missing.
  public var isCutOff: Bool
  /// What it and those of its descendants that it waited for have used.
  public var use: ResourceUse
  /// What it wrote to stdout; empty if that was too long.
  public var output: [UInt8]
  /// What it wrote to stderr.
  public var log: ProgramLog

  init(_ verdict: ProgramVerdict, output: [UInt8], log: ProgramLog) {
    status = verdict.status
    startFailure = verdict.startFailure
    isOutputTooLong = verdict.isOutputTooLong
    isEndedByPool = verdict.isEndedByPool
    isCutOff = verdict.isCutOff
    use = verdict.use
    self.output = output
    self.log = log
  }
}
