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
      keep(JobLog(log), of: number, .stderr)
      keep(JobLog(ProgramLog(output, bytesMax: log.bytesMax)), of: number, .stdout)
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
    for case .jobForgotten(let number) in records { logs.remove(number) }
  }

  /// A piece of what a job's last attempt wrote to a stream so far, and how many bytes that was;
  /// empty if nothing is kept of it. Of a log that is kept only the piece is read.
  func logPiece(
    of number: JobNumber, _ stream: JobLog.Stream, from offset: Int, atMost limit: Int
  ) -> (piece: ProgramLog.Piece, count: Int) {
    if stream == .stderr, let call = engine.call(of: number),
      let programs = pools[call.slot.pool] as? ProgramPoolDriver, let log = programs.log(of: call)
    {
      return (log.read(from: offset, atMost: limit), log.count)
    }
    guard let kept = logs.read(of: number, stream, from: offset, atMost: limit) else {
      return (ProgramLog.Piece(bytes: [], nextOffset: 0), 0)
    }
    return (ProgramLog.Piece(kept), kept.count)
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
