import JobCore
import JobStorage
import Logging
import Multiprocessing

/// What programs write to standard error: followed while they run, kept when they have ended.
extension Server {
  /// Something happened to a program that is a call.
  func note(_ observation: ProgramPoolDriver.Observation) {
    switch observation {
    case .began(let call, let process):
      guard let job = engine.job(of: call).flatMap({ engine.store[$0] }) else { return }
      watchUsage(
        of: call, task: engine.store.names[job.task], process: process, isFresh: true)
    case .logGrew(let call):
      if !logFollowers.isEmpty, let job = engine.job(of: call) { feedFollowers(of: job) }
    case .ended(let call, let log, let output):
      guard let number = engine.job(of: call) else { return }
      let output = ProgramLog(output, bytesMax: log.bytesMax)
      keep(JobLog(log), of: number, .stderr)
      keep(JobLog(output), of: number, .stdout)
      guard !logFollowers.isEmpty else { return }
      endFollowing(of: number, .stderr, log)
      endFollowing(of: number, .stdout, output)
    }
  }

  /// Keeps a log, or drops it: a full disk costs logs and no jobs, and is told once, not with every
  /// job.
  private func keep(_ kept: JobLog, of number: JobNumber, _ stream: JobLog.Stream) {
    do throws(StorageError) {
      try logs.keep(kept, of: number, stream)
      guard kept.count > 0, logsDropped > 0 else { return }
      log.notice("logs of jobs are kept again", metadata: ["dropped": .count(logsDropped)])
      logsDropped = 0
    } catch {
      logsDropped += 1
      metrics.logsDropped += 1
      guard logsDropped == 1 else { return }
      log.warning(
        "the log of a job cannot be kept; logs are dropped until they can",
        metadata: ["job": "\(engine.store[number]?.id.text ?? "")", "error": "\(error)"])
    }
  }

  /// The logs of jobs that are dropped go with them.
  func dropLogs(of records: [Record]) {
    guard logs.bytes > 0 else { return }
    for record in records {
      switch record {
      case .jobForgotten(let number), .chunkReleased(let number): logs.remove(number)
      case .mapForgotten(let number): dropLogs(ofMap: number)
      default: break
      }
    }
  }

  /// A piece of what a job's last attempt wrote to a stream so far, and how many bytes that was;
  /// empty if nothing is kept of it. Of a log that is kept only the piece is read.
  ///
  /// While a program runs its standard output is not known yet, and what an earlier attempt wrote
  /// is not what is asked for.
  func logPiece(
    of number: JobNumber, _ stream: JobLog.Stream, from offset: Int, atMost limit: Int
  ) -> (piece: ProgramLog.Piece, count: Int) {
    let nothing = ProgramLog.Piece(bytes: [], nextOffset: 0)
    if let log = runningLog(of: number) {
      guard stream == .stderr else { return (nothing, 0) }
      return (log.read(from: offset, atMost: limit), log.count)
    }
    guard let kept = logs.read(of: number, stream, from: offset, atMost: limit) else {
      return (nothing, 0)
    }
    return (ProgramLog.Piece(kept), kept.count)
  }

  /// What the program of a job that runs has written to standard error so far: nothing, as long as
  /// it is only about to run. nil if the job does not run, or not as a program.
  func runningLog(of number: JobNumber) -> ProgramLog? {
    guard engine.store.brief(of: number)?.state == .running, let call = engine.call(of: number),
      let programs = pools[call.slot.pool] as? ProgramPoolDriver
    else { return nil }
    return programs.log(of: call) ?? ProgramLog(bytesMax: 2)
  }
}

extension JobLog {
  /// What is kept of a program's log.
  init(_ log: ProgramLog) {
    let kept = log.kept
    self.init(count: log.count, head: kept.head, tail: kept.tail)
  }
}

extension ProgramLog.Piece {
  /// A piece of a log that was kept, with a mark for what is left out.
  init(_ piece: JobLog.Piece) {
    let mark = piece.leftOut > 0 ? ProgramLog.mark(leavingOut: piece.leftOut) : ""
    self.init(bytes: piece.head + Array(mark.utf8) + piece.tail, nextOffset: piece.nextOffset)
  }
}

extension ProgramLog {
  /// Of bytes that are all there.
  init(_ bytes: [UInt8], bytesMax: Int) {
    self.init(bytesMax: bytesMax)
    bytes.withUnsafeBytes { append($0) }
  }
}
