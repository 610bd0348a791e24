import JSON
import Testing

@testable import Multiprocessing

/// The parts of a `Pool` that need no process.
@Suite struct PoolPartsTests {
  @Test func `the default chunk size is CPython's`() {
    let table = [
      (0, [0, 0, 0, 0]), (1, [1, 1, 1, 1]), (10, [3, 2, 1, 1]), (100, [25, 13, 7, 4]),
      (1000, [250, 125, 63, 32]),
    ]
    for (count, sizes) in table {
      #expect([1, 2, 4, 8].map { Pool.chunkSize(count, workers: $0) } == sizes)
    }
  }

  private func roundTrip<Value: Codable & Sendable>(_ values: [Value]) throws -> ([Value], String) {
    var writer = JSONWriter()
    let codec = ArrayCodec<Value>()
    try codec.encode(values, to: &writer)
    return (
      try codec.decode(String(decoding: writer.bytes, as: UTF8.self)),
      String(decoding: writer.bytes, as: UTF8.self)
    )
  }

  @Test func `arrays of all kinds of values pass exactly`() throws {
    #expect(try roundTrip([1, -2]) == ([1, -2], "[1,-2]"))
    #expect(try roundTrip([1.5]) == ([1.5], "[1.5]"))
    #expect(try roundTrip(["a\n"]) == (["a\n"], "[\"a\\n\"]"))
    #expect(try roundTrip([true]) == ([true], "[true]"))
    #expect(try roundTrip([UInt8(0), 255]) == ([0, 255], "[0,255]"))
    #expect(try roundTrip([[1, 2], [], [3]]) == ([[1, 2], [], [3]], "[[1,2],[],[3]]"))
    #expect(try roundTrip([[[0.5]]]) == ([[[0.5]]], "[[[0.5]]]"))
    #expect(try roundTrip([Int?.none, 7]) == ([nil, 7], "[null,7]"))
    #expect(try roundTrip([NoArgument(), NoArgument()]).1 == "[null,null]")
    #expect(try roundTrip([NoResult()]).1 == "[null]")
    #expect(try roundTrip([Int]()) == ([], "[]"))
    let pairs = try roundTrip([Arguments(1, "a"), Arguments(2, "b")])
    #expect(pairs.1 == "[[1,\"a\"],[2,\"b\"]]")
    #expect(pairs.0[1].values == (2, "b"))
  }

  @Test func `what is no array of the type is refused`() {
    #expect(throws: TaskFailure.self) { try ArrayCodec<UInt8>().decode("[256]") }
    #expect(throws: TaskFailure.self) { try ArrayCodec<UInt8>().decode("[-1]") }
    #expect(throws: TaskFailure.self) { try ArrayCodec<Int>().decode("[1.5]") }
    #expect(throws: TaskFailure.self) { try ArrayCodec<Arguments<Int, Int>>().decode("[[1]]") }
    #expect(throws: TaskFailure.self) { try ArrayCodec<Arguments<Int, Int>>().decode("[[1,2,3]]") }
  }

  private struct Coded: Error, Codable, Equatable {
    var number: Int
  }

  private func run<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, _ json: String
  ) -> String {
    Array(json.utf8).withUnsafeBufferPointer { bytes in
      var writer = JSONWriter()
      if let failure = task.erased.runChunk(bytes, [], &writer) {
        writer.removeAll()
        failure.write(to: &writer)
      }
      return String(decoding: writer.bytes, as: UTF8.self)
    }
  }

  @Test func `a chunk answers all of its results or the error of its first failing item`() throws {
    let task = TaskDefinition<Int, Int>("even", throwing: [Coded.self]) { number in
      if number % 2 == 1 { throw Coded(number: number) }
      return number * number
    }
    #expect(run(task, "[2,4]") == "[4,16]")
    #expect(run(task, "[]") == "[]")
    let error = RemoteError.read(run(task, "[2,3,5]"), task.errorCoders, items: nil)
    #expect(error as? Coded == Coded(number: 3))
    let remote = try #require(
      RemoteError.read(run(task, "[2,3,5]"), [], items: 10..<13) as? RemoteError)
    #expect(remote.code == .raised)
    #expect(remote.type == "Coded")
    #expect(remote.traceback.contains("MultiprocessingTests/PoolPartsTests.swift:"))
    #expect(remote.item == 11)
    #expect(remote.traceback.contains(", item 11, in process "))
    let argument = try #require(
      RemoteError.read(run(task, "[\"a\"]"), [], items: 10..<13) as? RemoteError)
    #expect(argument.code == .argumentDecoding)
    #expect(argument.item == nil)
    #expect(argument.traceback.contains(", items 10 to 12, in process "))
  }

  @Test func `an error that nobody can read is one all the same`() throws {
    let error = try #require(RemoteError.read("[1]", [], items: nil) as? RemoteError)
    #expect(error.type == "ProtocolError")
  }

  @Test func `a job ends once, with the error of the chunk that came first`() {
    let job = ResultJob<[String]>(chunks: 3, [], callbacks: nil) { $0 }
    #expect(!job.chunkEnded(2, .failed(PoolError(.notReady))))
    #expect(!job.chunkEnded(0, .failed(PoolError(.stillRunning))))
    #expect(!job.isFinal)
    #expect(!job.wait(until: .now))
    #expect(!job.chunkEnded(1, .returned("[]")))
    #expect(job.isFinal)
    job.abandon(PoolError(.terminated))
    #expect(throws: PoolError(.notReady)) { try job.decoded().get() }
  }

  private final class Kept: Error {}

  @Test func `a job that is abandoned keeps nothing of what it had`() {
    let job = ResultJob<[String]>(chunks: 3, [], callbacks: nil) { $0 }
    var kept: Kept? = Kept()
    weak let before = kept
    _ = job.chunkEnded(1, .failed(kept ?? Kept()))
    kept = nil
    #expect(before != nil)
    job.abandon(PoolError(.terminated))
    #expect(before == nil)
    #expect(throws: PoolError(.terminated)) { try job.decoded().get() }
  }

  @Test func `a job with a callback is final only behind it`() {
    let job = ResultJob<[String]>(
      chunks: 1, [], callbacks: .init(success: { _ in throw Coded(number: 1) }, failure: nil)
    ) { $0 }
    #expect(job.chunkEnded(0, .returned("[1]")))
    #expect(!job.isFinal)
    job.runCallbacks()
    #expect(job.isFinal)
    #expect(throws: Coded(number: 1)) { try job.decoded().get() }
  }

  @Test func `a parker is woken once for any number of times before`() {
    let parker = Parker()
    parker.unpark()
    parker.unpark()
    #expect(parker.park(until: .now))
    #expect(!parker.park(until: Deadline(after: .milliseconds(1))))
  }
}
