import DequeModule
import JSON
import JobCore
import JobStorage
import Logging
import Multiprocessing

/// What calls write to standard output and error: followed while they run, kept when they have
/// ended.
extension Server {
  /// Something happened to a call.
  func note(_ observation: CallObservation) {
    switch observation {
    case .began(let call, let process):
      guard let job = engine.job(of: call).flatMap({ engine.store[$0] }) else { return }
      watchUsage(
        of: call, task: engine.store.names[job.task], process: process, isFresh: true)
    case .logGrew(let call):
      guard !logFollowers.isEmpty || !eventFollowers.isEmpty, let job = engine.job(of: call) else {
        return
      }
      feedFollowers(of: job)
      feedEvents(of: job)
    case .progressed(let call, let progress): noteProgress(of: call, progress)
    case .item(let call, let value):
      var writer = JSONWriter(capacity: value.utf8.count + 16)
      writer.beginObject()
      writer.member("value", text: value)
      writer.endObject()
      noteNews(of: call, "item", String(decoding: writer.bytes, as: UTF8.self))
    case .ended(let call, let stdout, let stderr):
      // A chunk of a map that was withdrawn is no more.
      guard let number = engine.job(of: call), engine.store.brief(of: number) != nil else {
        return
      }
      keep(JobLog(stderr), of: number, .stderr)
      keep(JobLog(stdout), of: number, .stdout)
      feedEvents(of: number, isRunOver: true)
      guard !logFollowers.isEmpty else { return }
      endFollowing(of: number, .stderr, stderr)
      endFollowing(of: number, .stdout, stdout)
    }
  }

  private func noteProgress(of call: CallID, _ progress: Progress) {
    var writer = JSONWriter(capacity: 64)
    HandleWriter.write(progress, to: &writer)
    noteNews(of: call, "progress", String(decoding: writer.bytes, as: UTF8.self))
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

  /// The logs of jobs that are dropped go with them; those of the chunks of a map in slices.
  func dropLogs(of records: [Record]) {
    guard logs.bytes > 0 || !callNews.isEmpty else { return }
    for record in records {
      switch record {
      case .jobForgotten(let number), .chunkReleased(let number):
        logs.remove(number)
        callNews[number] = nil
      case .mapForgotten(let number), .mapWithdrawn(let number):
        guard let chunks = engine.store.chunks(ofDropped: number) else { continue }
        chunksWithLogs.append((chunks, 0))
      default: break
      }
    }
  }

  /// Chunks of dropped maps whose logs are looked for in one turn.
  private static let chunksPerTurnMax = 4_096
  /// Jobs whose files the background removes without a pause, in which something else could have
  /// its turn: it takes a millisecond or two.
  private static let removedTogetherMax = 128

  /// Housekeeping: the logs of a map's chunks go, and files that are not wanted any more.
  func passLogs() {
    var budget = Server.chunksPerTurnMax
    while budget > 0, let (chunks, next) = chunksWithLogs.first {
      let end = logs.bytes > 0 ? min(next + budget, chunks.count) : chunks.count
      if logs.bytes > 0 {
        for place in chunks[next..<end] { logs.remove(place.job) }
      }
      budget -= end - next
      if end == chunks.count { chunksWithLogs.removeFirst() } else { chunksWithLogs[0].next = end }
    }
    guard logs.hasUnwanted, storage.mayRemove else { return }
    for late in logs.unwantedAreGone() where engine.store.brief(of: late.job) != nil {
      keep(late.log, of: late.job, late.stream)
    }
    storage.remove(logs.takeUnwanted(atMost: Server.removedTogetherMax))
  }

  /// A piece of what a job's last attempt wrote to a stream so far, and how many bytes that was;
  /// empty if nothing is kept of it. Of a log that is kept only the piece is read.
  ///
  /// While a program runs its standard output is not known yet, and what an earlier attempt wrote
  /// is not what is asked for.
  func logPiece(
    of number: JobNumber, _ stream: JobLog.Stream, from offset: Int, atMost limit: Int
  ) -> (piece: ProgramLog.Piece, count: Int) {
    if let log = runningLog(of: number, stream) {
      return (log.read(from: offset, atMost: limit), log.count)
    }
    return keptPiece(of: number, stream, from: offset, atMost: limit)
  }

  /// The same of what is kept of the last attempt that has ended.
  func keptPiece(
    of number: JobNumber, _ stream: JobLog.Stream, from offset: Int, atMost limit: Int
  ) -> (piece: ProgramLog.Piece, count: Int) {
    guard let kept = logs.read(of: number, stream, from: offset, atMost: limit) else {
      return (ProgramLog.Piece(bytes: [], nextOffset: 0), 0)
    }
    return (ProgramLog.Piece(kept), kept.count)
  }

  /// What a job that runs has written to a stream so far: nothing, as long as it is only about to
  /// run, or if that is to be its result. nil if the job does not run, or where nobody keeps logs.
  func runningLog(of number: JobNumber, _ stream: JobLog.Stream) -> ProgramLog? {
    guard engine.store.brief(of: number)?.state == .running, let call = engine.call(of: number),
      let pool = drivers[call.slot.pool] as? any LoggingPoolDriver
    else { return nil }
    return pool.log(of: call, stream) ?? ProgramLog(bytesMax: 2)
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
