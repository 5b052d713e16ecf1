// All words of the page, in English and Chinese, and the switch between them. Elements with data-text
// show a text, those with data-label have it as their label; {0}, {1} ... stand for numbers.

const TEXTS = {
    tagline: ["a scalar autograd engine, in your browser", "标量自动微分引擎，就在浏览器里"],
    tabs: ["Parts of the page", "页面的各部分"],
    tabTrain: ["Train", "训练"],
    tabGraph: ["Graph", "计算图"],
    tabPad: ["Scratch pad", "草稿"],
    tabGpt: ["GPT", "GPT"],
    language: ["中文", "English"],
    languageLabel: ["切换到中文", "Switch to English"],

    // the run
    play: ["Play", "播放"],
    pause: ["Pause", "暂停"],
    train: ["Train", "训练"],
    step: ["+1 step", "+1 步"],
    hundred: ["+100 steps", "+100 步"],
    reset: ["Reset", "重置"],
    speed: ["Speed", "速度"],
    speedSteps: ["{0} steps/s", "每秒 {0} 步"],
    speedAll: ["as fast as it goes", "全速"],
    stopped: ["It has stopped: {0}", "已停止：{0}"],
    tooLarge: ["{0}; the learning rate is too large: take a smaller one and press Reset", "{0}；学习率太大：请减小并点击重置"],
    noPoints: [
        "There are no points to train with: add some, or press “Points of this seed again”.",
        "没有用于训练的点：请添加，或点击“按种子重新生成”。",
    ],
    settings: ["Settings", "设置"],
    data: ["Data", "数据"],
    dataSet: ["Data set", "数据集"],
    simple: ["three fields", "三个区域"],
    circles: ["circles", "圆环"],
    yinyang: ["yin and yang", "太极"],
    points: ["Points", "点数"],
    seed: ["Seed", "随机种子"],
    newPoints: ["Points of this seed again", "按种子重新生成"],
    network: ["Network", "网络"],
    hidden: ["Hidden layers", "隐藏层"],
    hiddenHint: ["16, or 8, 8 for two layers", "16，或 8, 8 表示两层"],
    activation: ["Activation", "激活函数"],
    optimizer: ["Optimiser", "优化器"],
    lr: ["Learning rate", "学习率"],
    decay: ["Weight decay", "权重衰减"],
    courseSettings: ["All as in the course", "全部恢复为课程设置"],
    wrong_seed: ["A seed is a whole number from 1 to 2⁶⁴ − 1.", "种子是 1 到 2⁶⁴ − 1 的整数。"],
    wrong_points: ["Between 10 and 1000 points.", "点数在 10 到 1000 之间。"],
    wrong_hidden: ["One to four layers of 1 to 32 neurons each: 16, or 8, 8.", "一到四层，每层 1 到 32 个神经元：16，或 8, 8。"],
    wrong_lr: ["The learning rate is a number, 0 or more.", "学习率是不小于 0 的数。"],
    wrong_beta1: ["A beta is at least 0 and below 1.", "beta 不小于 0 且小于 1。"],
    wrong_beta2: ["A beta is at least 0 and below 1.", "beta 不小于 0 且小于 1。"],
    wrong_eps: ["eps is above 0 and below 1.", "eps 大于 0 且小于 1。"],
    wrong_decay: ["The weight decay is a number, 0 or more.", "权重衰减是不小于 0 的数。"],

    // the plane
    plane: ["The plane", "平面"],
    planeLabel: [
        "The plane with its points. N and P choose a point, the arrows move it, Delete removes it, 0, 1 and 2 add one of that class.",
        "平面和点。N、P 选择点，方向键移动，Delete 删除，0、1、2 添加该类的点。",
    ],
    planeKeys: ["Drag points. Keys: N, P choose; arrows move; 0, 1, 2 add; Delete removes.", "可拖动点。按键：N、P 选择；方向键移动；0、1、2 添加；Delete 删除。"],
    planePoint: ["Point at {0}, {1}, class {2}, {3}", "点 {0}, {1}，类别 {2}，{3}"],
    planeRemoved: ["Removed. {0} points are left.", "已删除。剩下 {0} 个点。"],
    isTrain: ["to train with", "训练"],
    isVal: ["to validate with", "验证"],
    tool: ["A click", "点击"],
    toolMove: ["moves", "移动"],
    toolAdd: ["adds", "添加"],
    toolDelete: ["deletes", "删除"],
    graphOf: ["Graph of the chosen point's loss", "所选点的损失的计算图"],
    legend: ["Filled points are to train with, hollow ones to validate with.", "实心点用于训练，空心点用于验证。"],

    // the network's picture
    shows: ["Colour and width", "颜色与粗细"],
    showsValue: ["value", "数值"],
    showsGradient: ["gradient", "梯度"],
    networkLabel: ["The network {0}, with {1} parameters", "网络 {0}，{1} 个参数"],
    networkNote: ["Blue is positive, red negative. Point at a weight to read it, or use the arrow keys.", "蓝色为正，红色为负。指向权重可读数值，也可用方向键。"],

    // losses and lines
    losses: ["Losses", "损失"],
    curvesLabel: ["Curves of both losses on a logarithmic axis.", "两条损失曲线，对数坐标。"],
    lossesNow: ["Step {0}: train {1}, val {2}; accuracy: train {3}, val {4}", "第 {0} 步：训练 {1}，验证 {2}；正确率：训练 {3}，验证 {4}"],
    stepTime: ["{0} µs a step", "每步 {0} µs"],
    trainLoss: ["train", "训练"],
    valLoss: ["val", "验证"],
    printed: ["What it prints", "打印的内容"],
    thisPage: ["this page", "本页"],
    theCourse: ["the course", "课程"],
    digitsNone: ["The course's digits will stand beside this page's.", "课程的数字会显示在旁边。"],
    digitsSame: ["All {0} lines are the course's, to the last digit.", "全部 {0} 行与课程完全一致。"],
    digitsDiffer: [
        "The first digit that is not the course's: step {0}, digit {1}. {2} of {3} lines are the same. Points, weights and the order of all operations are the course's; exp, log, tanh and pow come from another mathematics library here (musl's, not glibc's), whose last digit sometimes differs.",
        "第一个与课程不同的数字：第 {0} 步，第 {1} 位。{3} 行中有 {2} 行相同。点、权重和运算顺序与课程一致；这里的 exp、log、tanh、pow 来自另一个数学库（musl，而非 glibc），其末位有时不同。",
    ],
    courseEnds: ["the course ends here", "课程到此为止"],
    digitsOther: ["With these settings and points there are no digits of the course to compare with.", "这些设置和点没有可比较的课程数字。"],

    // graphs
    graphTitle: ["The graph of one point's loss", "一个点的损失的计算图"],
    graphIntro: [
        "Every number is a node. Backward goes from the loss to the left, one node at a time, and adds to the gradients of its operands.",
        "每个数都是一个节点。反向传播从损失开始向左，一次一个节点，把梯度加到它的操作数上。",
    ],
    pointBefore: ["Point before", "上一个点"],
    pointAfter: ["Next point", "下一个点"],
    pointNow: ["Point {0} at ({1}, {2}), class {3}; the network at step {4}", "点 {0}（{1}, {2}），类别 {3}；第 {4} 步的网络"],
    pointNone: ["There are no points.", "没有点。"],
    graphKeys: [
        "Graph. Full stop and comma step forward and back, Home and End go to the ends; N and P choose a node; arrows move the graph, + and - magnify, 0 fits.",
        "计算图。句号、逗号前进和后退一步，Home、End 到两端；N、P 选择节点；方向键移动，+ - 缩放，0 适应。",
    ],
    graphHint: ["Point at a node to read all digits. Keys: . and , step; N, P choose a node; arrows move; + and − magnify.", "指向节点可读全部数字。按键：. 和 , 前后一步；N、P 选择节点；方向键移动；+ − 缩放。"],
    graphTooLarge: ["The graph has {0} nodes, too many to draw. Take fewer neurons.", "图有 {0} 个节点，太多无法绘制。请减少神经元。"],
    graphSize: ["{0} nodes.", "{0} 个节点。"],
    stepBar: ["Steps of backward", "反向传播的步骤"],
    stepStart: ["To the start: no gradients", "回到开头：没有梯度"],
    stepBack: ["One step back", "后退一步"],
    stepForward: ["One step forward", "前进一步"],
    stepPlay: ["Play the steps", "播放步骤"],
    stepEnd: ["To the end: all gradients", "到结尾：所有梯度"],
    stepSlider: ["Step of backward", "反向传播的步骤"],
    zoomIn: ["Larger", "放大"],
    zoomOut: ["Smaller", "缩小"],
    zoomFit: ["Fit", "适应"],
    ruleNone: ["Before backward: every gradient is 0. Step forward to begin.", "反向传播之前：所有梯度为 0。前进一步开始。"],
    ruleEarlier: [
        "Before the last backward(): the gradients are those that the passes before it have left. Step forward to begin.",
        "最后一次 backward() 之前：梯度是之前各次留下的。前进一步开始。",
    ],
    ruleRoot: ["backward() begins: d {0} / d {0} is 1.", "backward() 开始：d {0} / d {0} 为 1。"],
    ruleAll: ["backward() has gone through all {0} nodes. Step back to see how.", "backward() 已走完全部 {0} 个节点。后退可查看过程。"],
    pointShows: ["Network: colour by", "网络颜色"],
    small: ["Use 3 neurons (starts anew)", "改用 3 个神经元（重新开始）"],
    smallBack: ["Back to {0} (starts anew)", "恢复为 {0}（重新开始）"],

    // the scratch pad
    padTitle: ["Write a few lines", "写几行代码"],
    padIntro: [
        "Names, numbers, Value(...), + - * / **, parentheses, .tanh() .relu() .exp() .log() .sigmoid() .sqrt() .sin() .cos() .backward(). Computed by the C tape.",
        "变量名、数字、Value(...)、+ - * / **、括号、.tanh() .relu() .exp() .log() .sigmoid() .sqrt() .sin() .cos() .backward()。由 C 引擎计算。",
    ],
    padText: ["Program", "程序"],
    example: ["Example", "示例"],
    exampleFirst: ["the README's", "README 的例子"],
    exampleNeuron: ["a neuron", "一个神经元"],
    exampleTwice: ["a value used twice", "一个值用两次"],
    exampleChain: ["a long chain", "长链"],
    padValues: ["Named values", "命名的值"],
    name: ["name", "名称"],
    padWhere: ["line {0}, column {1}", "第 {0} 行第 {1} 列"],
    padCharacter: ["“{0}” has no meaning here", "“{0}” 在这里没有意义"],
    padExpected: ["expected “{0}”, found {1}", "应为 “{0}”，却是 {1}"],
    padOperand: ["expected a number, a name or a parenthesis, found {0}", "应为数字、名称或括号，却是 {0}"],
    padMethod: ["{0} is no method; there are {1}", "没有方法 {0}；可用的有 {1}"],
    padFunction: ["there is no function {0}; write x.{0}()", "没有函数 {0}；请写 x.{0}()"],
    padNoFunction: ["there is no function {0}; there are Value(...), {1}", "没有函数 {0}；可用的有 Value(...)、{1}"],
    padReserved: ["{0} cannot be given another meaning", "{0} 不能改作他用"],
    padEnd: ["expected the end of the line, found {0}", "应为行尾，却是 {0}"],
    padName: ["{0} has no value yet", "{0} 还没有值"],
    padValueOfValue: ["Value takes a number, and this is a Value", "Value 需要数字，这里是 Value"],
    padNumberMethod: ["a number has no method {0}; write Value(...)", "数字没有方法 {0}；请写 Value(...)"],
    padNothing: ["backward() returns nothing", "backward() 没有返回值"],
    padDeep: [
        "this is longer or deeper than {0} operations in one another; give parts of it names of their own",
        "嵌套或连续的运算超过 {0} 层；请给其中的部分单独命名",
    ],
    padLarge: ["the graph has {0} nodes, and at most {1} are drawn", "图有 {0} 个节点，最多绘制 {1} 个"],
    padFault: ["{0}", "{0}"],
    padEmpty: ["there is no Value to show yet", "还没有可显示的 Value"],
    noMemory: ["there is no memory left", "内存不足"],
    noResult: ["{0} has no result among the real numbers that a float can hold", "{0} 没有浮点数能表示的实数结果"],
    notFinite: ["the loss is no finite number any more; take a smaller learning rate, and reset", "损失已不是有限的数；请减小学习率并重置"],
    noSlope: ["{0} has no derivative", "{0} 没有导数"],

    // the GPT
    gptTitle: ["A small GPT that learns words", "学习单词的小 GPT"],
    gptIntro: [
        "The transformer of examples/gpt.py: one layer, four heads, 4192 parameters. It reads words and learns to make up others like them. A graph is recorded for each length of words and then only computed again.",
        "examples/gpt.py 的 transformer：一层，四个头，4192 个参数。它读单词，并学会编造相似的词。每种长度只录制一次图，之后重新计算。",
    ],
    gptWords: ["Words, one a line", "单词，每行一个"],
    gptWrongWord: ["Line {0}: “{1}” is not at most {2} letters a–z.", "第 {0} 行：“{1}” 不是最多 {2} 个字母 a–z 的词。"],
    gptNoWords: ["There are no words.", "没有单词。"],
    gptManyWords: ["At most {0} words.", "最多 {0} 个单词。"],
    gptNow: ["Step {0}: {1} words, {2} parameters, mean loss {3}", "第 {0} 步：{1} 个单词，{2} 个参数，平均损失 {3}"],
    gptNowOne: ["Step {0}: 1 word, {2} parameters, mean loss {3}", "第 {0} 步：1 个单词，{2} 个参数，平均损失 {3}"],
    gptWrongLook: ["Only letters a–z, at most {0} of them.", "只能用字母 a–z，最多 {0} 个。"],
    gptLook: ["What it has learned", "学到了什么"],
    gptWord: ["Look at a word", "查看一个词"],
    gptLetters: ["After which letter?", "在哪个字母之后？"],
    gptNext: ["Next: {0}", "下一个：{0}"],
    gptNextLabel: ["How likely each letter is to come next; · ends the word", "下一个字母的概率；· 表示词尾"],
    attention: ["Attention", "注意力"],
    attentionNote: ["A row shows where a letter looks back to; the darker, the more.", "每一行表示该字母回看哪里；颜色越深越多。"],
    head: ["head {0}", "头 {0}"],
    headLabel: ["Head {0}: {1} looks most at {2}, {3}%", "头 {0}：{1} 最关注 {2}，{3}%"],
    gptMade: ["Words made up", "编造的词"],
    gptMake: ["Make up 10 words", "编 10 个词"],
    temperature: ["Temperature", "温度"],
    gptKnown: ["one of the words it has read", "它读过的词"],

    about: ["How this page works", "本页如何工作"],
    about1: [
        "The engine is micrograd's own C library, csrc/, compiled to WebAssembly ({0} kB) and part of this file. The page asks nothing of any network and keeps nothing but the language that you choose.",
        "引擎是 micrograd 自己的 C 库 csrc/，编译成 WebAssembly（{0} kB），就在这个文件里。本页不访问网络，只保存所选语言。",
    ],
    about2: [
        "Each step records or replays a graph of scalars, goes backward through it and lets the optimiser move the weights, in the same order of operations as the plain-Python engine.",
        "每一步录制或重放标量计算图，反向传播，再由优化器移动权重，运算顺序与纯 Python 引擎相同。",
    ],
};

const KEY = "micrograd-language";
const LANGUAGES = ["en", "zh"];
let language = 0;
const listeners = [];

export const onLanguage = listener => listeners.push(listener);

export function t(key, ...values) {
    const text = TEXTS[key][language];
    return text.replace(/\{(\d)\}/g, (_, k) => values[k]);
}

function apply() {
    document.documentElement.lang = LANGUAGES[language];
    for (const node of document.querySelectorAll("[data-text]")) {
        const [key, ...values] = node.dataset.text.split("|");
        node.textContent = t(key, ...values);
    }
    for (const node of document.querySelectorAll("[data-label]")) {
        node.setAttribute("aria-label", t(node.dataset.label));
        if (node.tagName === "BUTTON") node.title = t(node.dataset.label);
    }
    listeners.forEach(listener => listener());
}

// localStorage may be forbidden, as it is to some files
function remembered() {
    try {
        return localStorage.getItem(KEY);
    } catch {
        return null;
    }
}

export function startLanguage() {
    language = LANGUAGES.indexOf(remembered() ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
    if (language < 0) language = 0;
    document.getElementById("language").onclick = () => {
        language = 1 - language;
        try {
            localStorage.setItem(KEY, LANGUAGES[language]);
        } catch {
            // then it is for this time only
        }
        apply();
    };
    apply();
}
