import Testing

@testable import Multiprocessing

@Suite struct HelloTests {
  @Test func `the same tasks in any order are the same`() {
    #expect(WorkerPool.difference(of: ["a", "b"], from: ["a", "b"]) == nil)
    #expect(WorkerPool.difference(of: ["b", "a"], from: ["a", "b"]) == nil)
    #expect(WorkerPool.difference(of: [], from: []) == nil)
  }

  @Test func `other tasks are a fault that names the difference`() {
    #expect(
      WorkerPool.difference(of: ["a", "d", "c"], from: ["b", "a"])
        == "other tasks than those of the workers before: it lacks 'b' and has 'c', 'd' besides")
    #expect(
      WorkerPool.difference(of: [], from: ["a"])
        == "other tasks than those of the workers before: it lacks 'a' and has none besides")
  }
}
