import DequeModule
import Testing

@testable import JobCore

/// What pools allow beside plain JSON for tasks that they named.
@Suite struct PoolRuleTests {
  private static let pickled = JobOptions(encoding: .pickle)
  private static let script = JobOptions(main: "/a.py")

  private func rig() -> Rig {
    Rig(
      pools: ["plain", "python"], tasks: ["square"],
      poolRules: [
        "python": PoolRule(allowsPickle: true, allowsMain: true, argumentBytesMax: 10)
      ])
  }

  private func answer(
    _ pool: String, _ options: JobOptions?, args: String = "[7]"
  ) -> Answer? {
    var rig = rig()
    return rig.submit(Submission(task: "square", args: args, pool: pool, options: options))
  }

  @Test func `pickle and scripts are taken where the pool allows them`() {
    #expect(answer("python", Self.pickled) == .accepted(1, isReplay: false))
    #expect(answer("python", Self.script) == .accepted(1, isReplay: false))
    #expect(answer("plain", Self.pickled) == .refused(.pickleNotAllowed(pool: "plain")))
    #expect(answer("plain", Self.script) == .refused(.mainNotAllowed(pool: "plain")))
  }

  @Test func `a pool may bound the arguments of one job`() {
    #expect(answer("python", nil, args: "[12345678]") == .accepted(1, isReplay: false))
    let refused = Answer.refused(.argumentsTooLarge(pool: "python", bytesMax: 10))
    #expect(answer("python", nil, args: "[123456789]") == refused)
    #expect(answer("python", JobOptions(kwargs: #"{"n":12}"#)) == refused)
    #expect(answer("plain", nil, args: "[123456789]") == .accepted(1, isReplay: false))
  }

  @Test func `a map meets the same rules chunk by chunk, and its chunks have its options`() throws {
    func answer(_ pool: String, chunkSize: Int, _ options: JobOptions? = nil) -> Answer? {
      var map = MapTests.document(10, chunkSize: chunkSize, options)
      map.pool = pool
      var rig = self.rig()
      return rig.submitMap(map)
    }
    #expect(answer("plain", chunkSize: 5) == .accepted(1, isReplay: false))
    // [0,1,2,3] has nine bytes, [0,1,2,3,4] eleven.
    #expect(answer("python", chunkSize: 4) == .accepted(1, isReplay: false))
    let refused = Answer.refused(.argumentsTooLarge(pool: "python", bytesMax: 10))
    #expect(answer("python", chunkSize: 5) == refused)
    #expect(
      answer("plain", chunkSize: 4, Self.pickled) == .refused(.pickleNotAllowed(pool: "plain")))
    #expect(answer("plain", chunkSize: 4, Self.script) == .refused(.mainNotAllowed(pool: "plain")))
    var rig = self.rig()
    var map = MapTests.document(2, chunkSize: 1, JobOptions(encoding: .pickle, main: "/a.py"))
    map.pool = "python"
    for place in try rig.acceptMap(map).chunks {
      let options = rig.store[place.job]?.options
      #expect(options?.encoding == .pickle && options?.main == "/a.py")
    }
  }

  @Test func `they are part of the payload`() throws {
    var rig = rig()
    let id = JobID("a")
    func submit(_ options: JobOptions?) -> Answer? {
      rig.submit(Submission(task: "square", id: id, pool: "python", options: options))
    }
    #expect(submit(Self.pickled) == .accepted(1, isReplay: false))
    #expect(submit(Self.pickled) == .accepted(1, isReplay: true))
    #expect(submit(nil) == .refused(.idempotencyMismatch(id!)))
    #expect(
      submit(JobOptions(encoding: .pickle, main: "/a.py")) == .refused(.idempotencyMismatch(id!)))
  }

  // MARK: Names that nobody told

  private func pool(of task: String, in pool: String?, _ dynamic: [String]) -> String {
    let names = ["default", "a", "b"]
    var rig = Rig(pools: names, tasks: nil)
    for (index, name) in names.enumerated() {
      rig.handle(
        .poolAnnounced(pool: PoolID(index), tasks: ["square"], isDynamic: dynamic.contains(name)))
    }
    switch rig.submit(Submission(task: task, pool: pool)) {
    case .accepted(let number, _)?: return rig.store[number].map { rig.store.names[$0.pool] } ?? ""
    case .refused(.ambiguousTask(_, let pools))?: return "ambiguous \(pools)"
    case let answer?: return answer.word
    case nil: return "no answer"
    }
  }

  @Test func `a dynamic pool that is named takes any name`() {
    #expect(pool(of: "no_such", in: "a", ["a"]) == "a")
    #expect(pool(of: "module:name", in: "a", ["a"]) == "a")
    #expect(pool(of: "module:name", in: "b", ["a"]) == "refused(taskNotInPool)")
  }

  @Test func `without a pool only a name that says where the task is goes to a dynamic one`() {
    #expect(pool(of: "module:name", in: nil, ["b"]) == "b")
    #expect(pool(of: "module:name", in: nil, ["a", "b"]) == #"ambiguous ["a", "b"]"#)
    #expect(pool(of: "module:name", in: nil, ["a", "default"]) == "default")
    #expect(pool(of: "module:name", in: nil, []) == "refused(unknownTask)")
    #expect(pool(of: "no_such", in: nil, ["b"]) == "refused(unknownTask)")
    #expect(pool(of: "square", in: nil, ["b"]) == "default")
  }

  @Test func `a pool may tell other tasks later`() {
    var rig = Rig(pools: ["a"], tasks: ["old"])
    rig.handle(.poolAnnounced(pool: PoolID(0), tasks: ["new"]))
    #expect(rig.submit(Submission(task: "new")) == .accepted(1, isReplay: false))
    #expect(rig.submit(Submission(task: "old")) == .refused(.unknownTask("old")))
  }
}
